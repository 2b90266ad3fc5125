"""The speed of this machine, as `saetui bench` measured it, and the time that a training will take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Union

import msgspec

from saetui.errors import FormatError
from saetui.formats.regular import read_regular

VERSION = 2
"""Version 1 measured architectures with a penalty at an L0 of 0, which is too fast."""

SLOWER = 2.0
"""A dtype whose products are slower than those of float32 by more than this factor has no fast path. Smaller factors may be noise."""

LIMIT = 1 << 20
"""The most bytes of the file."""


class StepFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One whole training step.

    Attributes:
        seconds: its time.
        share: its speed as a share of that of its matrix products alone.
        l0: latents that fired for a token.
    """

    architecture: str
    width: int
    latents: int
    batch_size: int
    seconds: float
    share: float
    l0: float


class ForwardFigure(msgspec.Struct, frozen=True, kw_only=True):
    """The speed of a transformer's layers of one width: parameters × tokens a second."""

    width: int
    parameter_tokens: float


class MachineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The speed of one machine.

    Attributes:
        device: its name.
        torch: the version that was used.
        measured_at: ISO 8601 in UTC.
        products: for each dtype, the floating-point operations a second of a large matrix product.
    """

    device: str
    torch: str
    measured_at: str
    products: dict[str, float]
    steps: tuple[StepFigure, ...]
    forwards: tuple[ForwardFigure, ...]
    version: int = VERSION


def read_figures(path: Path) -> MachineFigures | None:
    """Read what was measured; None where there is nothing, or another version of it.

    Raises:
        FormatError: the file is damaged.
    """
    try:
        figures = msgspec.json.decode(read_regular(path, LIMIT), type=MachineFigures)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read: {error}.", "Measure again: saetui bench") from error
    return figures if figures.version == VERSION else None


def dtype_slowdown(figures: MachineFigures, dtype: str) -> float | None:
    """How many times slower products in this dtype are than in float32; None where they are not, or were not measured."""
    speed, usual = figures.products.get(dtype), figures.products.get("float32")
    if not speed or not usual or usual <= SLOWER * speed:
        return None
    return usual / speed


def predict_seconds(
    figures: MachineFigures,
    *,
    architecture: str,
    steps: int,
    batch_size: int,
    width: int,
    latents: int,
    sites: int,
    forward_parameters: int,
) -> Union[float, None]:
    """The time of a training; None for an architecture that was not measured.

    Each step is one pass of the model over its tokens, and one step of every SAE. Its time is scaled from the nearest
    measured size, in proportion to width × latents × tokens. Evaluations and checkpoints are not included.

    `width`: of the activations; `sites`: SAEs that are trained at once; `forward_parameters`: of the layers that run.
    """
    measured = [step for step in figures.steps if step.architecture == architecture]
    if not measured or not figures.forwards:
        return None
    size = width * latents
    near = min(measured, key=lambda step: abs(math.log(step.width * step.latents / size)))
    step = near.seconds * (size * batch_size) / (near.width * near.latents * near.batch_size)
    forward = min(figures.forwards, key=lambda figure: abs(math.log(figure.width / width)))
    return steps * (sites * step + forward_parameters * batch_size / forward.parameter_tokens)
