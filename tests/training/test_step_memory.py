"""The estimate of a step on the CPU beside the tensors that are alive in one: counted, so that no machine's noise is in it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

import saetui
from saetui.activations import splice
from saetui.formats import step_sizes
from saetui.sae import matryoshka, resampling
from saetui.sae.kernels import dense, sparse
from saetui.spec import memory
from saetui.spec.architectures import ARCHITECTURES
from tests.training.step_memory import Sizes, reconstruction_memory, step_memory

SIZES: dict[str, Sizes] = {
    "whole batch": (256, 2048, 2048, None),
    "in pieces": (512, 4096, 2048, 512),
    "wide": (1024, 1024, 1024, None),
    "many latents": (128, 8192, 1024, None),
}
DENSE_K = 512
"""So many that all but the most latents take the dense path."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("architecture", "hyperparameters"),
    [
        *((architecture, {}) for architecture in ARCHITECTURES),
        ("topk", {"k": 128}),
        *(
            (architecture, {"k": DENSE_K})
            for architecture in ("topk", "batch_topk", "matryoshka", "transcoder", "skip_transcoder")
        ),
        ("matryoshka", {"matryoshka_widths": "256, and all"}),
        ("transcoder", {"l1_alpha": 0.02}),
        ("skip_transcoder", {"l1_alpha": 0.02}),
        ("jumprelu", {"sparsity_mode": "tanh"}),
    ],
)
def test_a_step_takes_what_the_estimate_says(architecture: str, hyperparameters: dict[str, Any], size: str) -> None:
    if "matryoshka_widths" in hyperparameters:
        hyperparameters = {"matryoshka_widths": f"256,{SIZES[size][1]}"}
    foretold, peak = step_memory(architecture, SIZES[size], torch.device("cpu"), **hyperparameters)
    # What the dense path takes besides is reckoned alike for all: most for matryoshka, which needs least.
    assert 1.0 <= foretold / peak <= (1.7 if hyperparameters.get("k") == DENSE_K else 1.4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_reconstruction_takes_what_the_estimate_says(device: str, architecture: str, size: str) -> None:
    foretold, peak = reconstruction_memory(architecture, SIZES[size], torch.device(device))
    assert 1.0 <= foretold / peak <= 1.5


def test_the_estimate_reckons_with_the_sizes_that_the_step_has() -> None:
    """The estimate may not load torch: the numbers stand once, below both, and nobody sets one of their own."""
    assert vars(memory)["step_sizes"] is step_sizes
    sizes = {name for name in vars(step_sizes) if name.isupper()}
    for module in (dense, sparse, matryoshka, resampling, splice):
        used = vars(module).keys() & sizes
        assert used and all(vars(module)[name] is vars(step_sizes)[name] for name in used)
    package = Path(saetui.__file__).parent
    set_elsewhere = {
        f"{path.relative_to(package)}: {target.id}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in sizes
    }
    assert set_elsewhere == {f"formats/step_sizes.py: {name}" for name in sizes}
