"""torch, and the devices that it computes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saetui.cli.checks.asking import answer
from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.tegra import is_jetson, jetson_name

PATIENCE_SECONDS = 180.0
"""The first import of torch on a slow SD card takes a minute."""

JETSONS_TORCH = "Install NVIDIA's torch for this JetPack in its place."

_WORDS = {"float32": "float32", "bfloat16": "bf16", "sparse": "sparse"}


def check_torch(module: str = "saetui.training.tasks.probe", seconds: float = PATIENCE_SECONDS) -> Iterator[Finding]:
    """torch and each device after trial products, from a process of its own.

    Args:
        module: the task that tries them.
        seconds: how long it may take.
    """
    hangs = "If that was a GPU, its driver hangs: see `sudo dmesg`, or start the machine again."
    found = answer("torch", module, {}, seconds, hangs)
    if isinstance(found, Finding):
        yield found
        return
    yield from torch_findings(found, has_card=shutil.which("nvidia-smi") is not None)


def torch_findings(found: Mapping[str, Any], *, has_card: bool, root: Path = Path("/")) -> Iterator[Finding]:
    """Findings from the result of `saetui.training.tasks.probe`.

    Args:
        found: that result.
        has_card: NVIDIA's driver is installed.
        root: of the file system, whose files say whether this is a Jetson.
    """
    yield good("torch", f"{found['torch']}, transformers {found['transformers']}")
    if found["numpy"] is None:
        yield good("numpy", "exchanges arrays with torch, both ways")
    else:
        message = f"torch and numpy cannot exchange arrays: {_ended(found['numpy'])}"
        yield problem("numpy", message, 'saetui doctor --constraints > c.txt; pip install -c c.txt "saetui[training]"')
    for device in found["devices"]:
        yield _device(device)
    yield from _without_gpu(found, has_card, root)
    yield from _triton(found["devices"])


def _device(device: Mapping[str, Any]) -> Finding:
    failed = {trial["name"]: trial["why"] for trial in device["trials"] if trial["why"] is not None}
    if not failed:
        times = ", ".join(f"{_WORDS[trial['name']]} {_milliseconds(trial['seconds'])}" for trial in device["trials"])
        return good("device", f"{device['name']}: right in {times}")
    said = "; ".join(f"{_WORDS[name]} product: {why.rstrip('.')}" for name, why in failed.items())
    message = f"{device['name']} does not compute as it must: {said}."
    if set(failed) == {"bfloat16"}:
        return warning("device", message, "Train in float32: -o dtype=float32")
    return problem("device", message, "Choose another with -o device=cpu, or repair its driver and its torch.")


def _without_gpu(found: Mapping[str, Any], has_card: bool, root: Path) -> Iterator[Finding]:
    """What keeps torch from a GPU that is there."""
    if len(found["devices"]) > 1:
        return
    if found["cuda_built"] is None:
        reason = "torch was built without CUDA"
    else:
        reason = found["cuda_error"] or "its driver and torch do not fit"
    if is_jetson(root):
        name = jetson_name(root) or "a Jetson"
        yield problem("device", f"torch cannot use the GPU of this {name}: {_ended(reason)}", JETSONS_TORCH)
    elif has_card:
        yield warning("device", f"An NVIDIA driver is here, and torch cannot use it: {_ended(reason)}",
                      "Install the torch that fits the driver (nvidia-smi names its CUDA version).")  # fmt: skip


def _triton(devices: list[Mapping[str, Any]]) -> Iterator[Finding]:
    tried = [(device["name"], device["triton"]) for device in devices if device["triton"] is not None]
    if not tried:
        yield good("triton", "not needed here: torch uses no GPU")
    for name, trial in tried:
        if trial["why"] is None:
            yield good("triton", f"{name}: compiled, and right, in {trial['seconds']:.1f} s")
        else:
            yield warning("triton", f"Triton does not work on {name}: {_ended(trial['why'])}",
                          "torch's own products are used instead. It needs the package triton, gcc and python3-dev.")  # fmt: skip


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def _ended(sentence: str) -> str:
    return sentence.rstrip(".") + "."
