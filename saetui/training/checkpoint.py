"""A checkpoint's content: all that the rest of the run depends on, as flat tensors and JSON."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Union

import msgspec
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from saetui.display.figures import size
from saetui.errors import FormatError, TrainingError
from saetui.formats.durable import open_private
from saetui.rundir.checkpoints import kept_while_read, new_checkpoint
from saetui.training.origin import Origin
from saetui.training.tensor_file import size_of, write_tensors

STATE = "trainer.json"
GENERATORS = "generators.safetensors"
VERSION = 3
SPARE_BYTES = 1 << 20
"""Must stay free on the disk after a save, for the logs."""


@dataclass(frozen=True)
class SiteState:
    """The state of one site between two steps.

    Attributes:
        tensors: weights, optimiser moments, counters, generators; names are paths, e.g. `optimizer.W_enc.exp_avg`.
        values: the rest, as JSON.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


@dataclass(frozen=True)
class SavedState:
    """A checkpoint, read."""

    step: int
    stream: dict[str, int]
    sites: dict[str, SiteState]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The software and hardware that the bits of a result depend on."""

    torch: str
    threads: int
    device: str
    transformers: Union[str, None] = None


class Means(NamedTuple):
    """Means over all sites of one evaluation on held-out text."""

    fvu: float
    l0: float


class LoopState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the loop itself.

    Attributes:
        evaluation_owed: the held-out evaluation of this step was left out for a stop.
        ahead: sites that have taken the next step already, where the memory was not enough for another site.
        micro_batches: for each site the tokens in a micro-batch, fewer since the memory was short.
        contexts: so many go through the model at a time since the memory was short; None: as many as usual.
        seconds: of training so far.
        environment: in which the checkpoint was written.
    """

    evaluation_owed: bool = False
    ahead: tuple[str, ...] = ()
    micro_batches: dict[str, int] = {}
    contexts: Union[int, None] = None
    seconds: float = 0.0
    environment: Union[Environment, None] = None


class _Versioned(msgspec.Struct, frozen=True):
    version: int


class _TrainerFile(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    step: int
    origin: Origin
    stream: dict[str, int]
    sites: dict[str, dict[str, Any]]
    loop: LoopState = LoopState()


def environment_now(device: torch.device) -> Environment:
    """The environment of this process."""
    return Environment(
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        device=device.type,
        transformers=str(transformers.__version__),
    )


def save_checkpoint(
    directory: Path,
    step: int,
    origin: Origin,
    sites: Mapping[str, SiteState],
    stream: dict[str, int],
    held_out: Means | None,
    loop: LoopState | None = None,
) -> None:
    """Write a checkpoint, all of it or nothing.

    Args:
        directory: the job's `checkpoints`.
        step: finished steps.
        stream: the position of the shuffling buffer.
        held_out: the means of an evaluation of this step, where there was one.

    Raises:
        OSError: not enough space; the older checkpoints stay.
        TrainingError: a weight or a moment is not finite.
    """
    _refuse_non_finite(step, sites)
    require_space(directory, sum(size_of(tensor) for state in sites.values() for tensor in state.tensors.values()))
    with new_checkpoint(directory, step, *(held_out or ())) as path:
        for name, state in sites.items():
            write_tensors(path / f"{name}.safetensors", state.tensors)
        write_tensors(path / GENERATORS, _generators())
        content = _TrainerFile(
            version=VERSION,
            step=step,
            origin=origin,
            stream=stream,
            sites={name: state.values for name, state in sites.items()},
            loop=LoopState() if loop is None else loop,
        )
        with open_private(path / STATE) as file:
            file.write(msgspec.json.encode(content))


def require_space(directory: Path, needed: int) -> None:
    """Require that a checkpoint of so many bytes fits, before half of it is written.

    Raises:
        OSError: ENOSPC, with both sizes.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < needed + SPARE_BYTES:
        reason = f"{os.strerror(errno.ENOSPC)} ({size(needed)} needed, {size(free)} free)"
        raise OSError(errno.ENOSPC, reason, str(directory))


def load_checkpoint(path: Path, device: torch.device) -> SavedState:
    """Read a checkpoint whose manifest was verified. It cannot be deleted meanwhile.

    Raises:
        FormatError: another version wrote it, or a file is damaged.
        NotFound: it was deleted.
    """
    with kept_while_read(path):
        content = _read_trainer_file(path)
        try:
            sites = {
                name: SiteState(load_file(path / f"{name}.safetensors", device=str(device)), values)
                for name, values in content.sites.items()
            }
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error
    return SavedState(content.step, content.stream, sites)


def load_origin(path: Path) -> Origin:
    """The origin of the run that wrote a checkpoint; raises the FormatError of `load_checkpoint`."""
    return _read_trainer_file(path).origin


def load_loop_state(path: Path) -> LoopState:
    """The state of the loop in a checkpoint, or the FormatError of `load_checkpoint`. Sets the global random generators too."""
    content = _read_trainer_file(path)
    if (path / GENERATORS).exists():
        try:
            _set_generators(load_file(path / GENERATORS))
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error
    return content.loop


def _read_trainer_file(path: Path) -> _TrainerFile:
    try:
        content = (path / STATE).read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).version
        if version == VERSION:
            return msgspec.json.decode(content, type=_TrainerFile)
    except (OSError, msgspec.DecodeError) as error:
        raise _unreadable(path, error) from error
    if version < VERSION:
        raise FormatError(
            f"The run of the checkpoint {path.absolute()} began under earlier rules (version {version}, now {VERSION}): it trained on "
            "first positions and on sinks, and took the optimiser's steps in other units.",
            "Retry the job to start again, or resume it with the saetui that began it. What it has exported stays as it is.",
        )
    raise FormatError(
        f"{path.absolute()} has version {version}, this saetui reads {VERSION}.",
        "Resume it with the saetui that wrote it, or retry the job from its start.",
    )


def _unreadable(path: Path, error: Exception) -> FormatError:
    return FormatError(
        f"{path.absolute()} cannot be read: {error}.",
        "Remove it to resume from an older one, or retry the job from its start.",
    )


def _refuse_non_finite(step: int, sites: Mapping[str, SiteState]) -> None:
    """Check the very tensors that are saved: after a finite loss the step may still not be finite."""
    for site, state in sites.items():
        for name, tensor in state.tensors.items():
            kind, _, rest = name.partition(".")
            if kind in ("sae", "optimizer") and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise TrainingError(
                    f"{rest} of {site} is not finite after step {step}.",
                    "Lower the learning rate, or lengthen its warm-up.",
                )


def _generators() -> dict[str, Tensor]:
    """The global generators: saetui draws from none of them, but a model's code might."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _set_generators(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda.{index}" in states:
                torch.cuda.set_rng_state(states[f"cuda.{index}"], index)
