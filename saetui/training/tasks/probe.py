"""Tries torch, for `saetui doctor`: in a process of its own, so that a broken torch is only reported."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from saetui.training.tasks.task import report, serve_task

ROWS, INNER, COLUMNS = 256, 512, 384
"""Large enough that the fast paths of libraries are taken, small enough for a slow CPU: milliseconds."""
ACTIVE = 16
"""Entries of a row in the sparse product."""
TIMES = 3
"""The fastest counts; another before them, which may load libraries or compile, does not."""

TOLERANCES = {"float32": 1e-2, "bfloat16": 5e-2, "sparse": 1e-2}
"""The largest error, relative to the root mean square of the result. What is really wrong is off by 1 and more; float32 may be
TF32, which keeps 10 bits, and bf16 keeps 8."""


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Versions, the exchange with numpy, and for each device whether its products are right and Triton compiles for it.

    Returns:
        `{"torch", "transformers", "cuda_built", "cuda_error", "numpy", "devices"}`: `numpy` is why arrays cannot be
        exchanged, `cuda_error` why there is no GPU, or None. Each device is `{"name", "trials", "triton"}`; a trial is
        `{"name", "seconds", "why"}`. `why` is None where it is right; `triton` is a trial too, None on a CPU.
    """
    del request
    report("importing torch and transformers")
    import torch
    import transformers

    return {
        "torch": str(torch.__version__),
        "transformers": str(transformers.__version__),
        "cuda_built": torch.version.cuda,
        "cuda_error": _cuda_error(),
        "numpy": why_failed(_exchange_arrays),
        "devices": [try_device(device, name) for device, name in _devices()],
    }


def try_device(device: str, name: str) -> dict[str, Any]:
    """The trials of one device."""
    report(f"computing on {name}")
    trials = [_trial(kind, partial(_product, kind, device)) for kind in TOLERANCES]
    triton = None if device == "cpu" else _trial("triton", partial(_compiled, device))
    return {"name": name, "trials": trials, "triton": triton}


def why_failed(work: Callable[[], object]) -> str | None:
    """Why something fails, in one line; None where it does not."""
    try:
        work()
    except Exception as error:
        # Whatever a driver or a library raises is what was asked for.
        return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return None


class Wrong(Exception):
    """A result that differs from what it must be."""


def require_near(found: Any, right: Any, tolerance: float) -> None:
    """Compare a result with the same in float64 on the CPU.

    Raises:
        Wrong: the error is above the tolerance, or not a number.
    """
    difference = (found.double().cpu() - right).abs().max() / right.square().mean().sqrt()
    if not bool(difference <= tolerance):
        raise Wrong(f"the result is wrong (error {float(difference):.1g})")


def _trial(name: str, work: Callable[[], float]) -> dict[str, Any]:
    seconds: list[float] = []
    why = why_failed(lambda: seconds.append(work()))
    return {"name": name, "seconds": seconds[0] if seconds else None, "why": why}


def _product(kind: str, device: str) -> float:
    """Seconds of a product. Raises what torch raises, or Wrong."""
    import torch

    from saetui.sae.kernels.sparse import decode, fixed_codes

    generator = torch.Generator().manual_seed(0)
    right_factor = torch.randn(INNER, COLUMNS, generator=generator)
    if kind == "sparse":
        places = torch.stack([torch.randperm(INNER, generator=generator)[:ACTIVE] for _ in range(ROWS)])
        values = torch.randn(ROWS, ACTIVE, generator=generator)
        dense = torch.zeros(ROWS, INNER, dtype=torch.float64).scatter_(1, places, values.double())
        codes, weight = fixed_codes(values.to(device), places.to(device)), right_factor.to(device)
        found, seconds = _timed(lambda: decode(codes, weight), device)
        require_near(found, dense @ right_factor.double(), TOLERANCES[kind])
        return seconds
    dtype = getattr(torch, kind)
    left, right = torch.randn(ROWS, INNER, generator=generator).to(dtype), right_factor.to(dtype)
    on_device = left.to(device), right.to(device)
    found, seconds = _timed(lambda: on_device[0] @ on_device[1], device)
    # Of the rounded factors: only what the device itself adds counts.
    require_near(found, left.double() @ right.double(), TOLERANCES[kind])
    return seconds


def _timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    found = work()
    times = []
    for _ in range(TIMES):
        _wait_for(device)
        begun = time.perf_counter()
        found = work()
        _wait_for(device)
        times.append(time.perf_counter() - begun)
    return found, min(times)


def _wait_for(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.synchronize(device)


def _compiled(device: str) -> float:
    """Seconds that Triton takes to compile a kernel and run it."""
    if importlib.util.find_spec("triton") is None:
        raise ModuleNotFoundError("it is not installed")
    import torch

    from saetui.training.tasks.triton_kernel import scaled_sum

    x, y = (torch.arange(1000, dtype=torch.float32, device=device) for _ in range(2))
    begun = time.perf_counter()
    found = scaled_sum(x, y, 3.0)
    _wait_for(device)
    require_near(found, torch.arange(1000, dtype=torch.float64) * 4, TOLERANCES["float32"])
    return time.perf_counter() - begun


def _exchange_arrays() -> None:
    import numpy as np
    import torch

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = torch.from_numpy(array)
    if tensor.tolist() != array.tolist() or not np.array_equal((tensor * 2).numpy(), array * 2):
        raise Wrong("numbers change on the way")


def _devices() -> list[tuple[str, str]]:
    import torch

    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return [("cpu", "CPU"), *((f"cuda:{index}", torch.cuda.get_device_name(index)) for index in cards)]


def _cuda_error() -> str | None:
    """Why a torch with CUDA finds no GPU: torch itself only warns, where nobody reads it."""
    import torch

    if torch.version.cuda is None or torch.cuda.is_available():
        return None
    return why_failed(torch.cuda.init) or "it finds no GPU"


if __name__ == "__main__":
    sys.exit(serve_task(probe))
