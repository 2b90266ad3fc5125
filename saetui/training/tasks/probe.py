"""Tries torch, for `saetui doctor`: in a process of its own, so that a broken torch is only reported."""

from __future__ import annotations

import sys
from typing import Any

from saetui.training.tasks.task import serve_task


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Versions and devices, and for each device whether a matrix product is right.

    Returns:
        `{"torch", "transformers", "cuda_built", "devices": [{"name", "works", "why", "bfloat16"}]}`; `why` is None where
        it works.
    """
    del request
    import torch
    import transformers

    found = [_try("cpu", "CPU")]
    if torch.cuda.is_available():
        found += [
            _try(f"cuda:{index}", torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())
        ]
    return {
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
        "cuda_built": torch.version.cuda,
        "devices": found,
    }


def _try(device: str, name: str) -> dict[str, Any]:
    import torch

    try:
        ones = torch.ones(64, 64, device=device)
        right = bool(((ones @ ones) == 64).all())
        why = None if right else "a matrix product comes out wrong"
        half = (ones.bfloat16() @ ones.bfloat16()).float()
        return {"name": name, "works": right, "why": why, "bfloat16": bool((half == 64).all())}
    except RuntimeError as error:
        return {"name": name, "works": False, "why": str(error).splitlines()[0], "bfloat16": False}


if __name__ == "__main__":
    sys.exit(serve_task(probe))
