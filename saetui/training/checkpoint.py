"""A checkpoint's content: all that the rest of the run depends on, as flat tensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from saetui.errors import FormatError
from saetui.rundir.checkpoints import new_checkpoint

STATE = "trainer.json"
VERSION = 1


@dataclass(frozen=True)
class SiteState:
    """What one site carries from step to step.

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


class _TrainerFile(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    step: int
    stream: dict[str, int]
    sites: dict[str, dict[str, Any]]


def save_checkpoint(
    directory: Path, step: int, sites: Mapping[str, SiteState], stream: dict[str, int], fvu: float | None
) -> None:
    """Write a checkpoint that is either there whole or not at all.

    Args:
        directory: the job's `checkpoints`.
        step: finished steps.
        sites: the state of each site.
        stream: where the shuffling buffer stands.
        fvu: held-out, the mean over sites, where it was measured at this step.

    Raises:
        OSError: no room; the older checkpoints stay.
    """
    with new_checkpoint(directory, step, fvu) as path:
        for name, state in sites.items():
            save_file({key: tensor.contiguous() for key, tensor in state.tensors.items()}, path / f"{name}.safetensors")
        content = _TrainerFile(
            version=VERSION, step=step, stream=stream, sites={name: state.values for name, state in sites.items()}
        )
        (path / STATE).write_bytes(msgspec.json.encode(content))


def load_checkpoint(path: Path, device: torch.device) -> SavedState:
    """Read a checkpoint whose manifest was verified.

    Raises:
        FormatError: another version wrote it, or a file is not what it should be.
    """
    try:
        content = msgspec.json.decode((path / STATE).read_bytes(), type=_TrainerFile)
        if content.version != VERSION:
            raise FormatError(
                f"{path} has version {content.version}, this saetui reads {VERSION}.",
                "Resume it with the saetui that wrote it, or retry the job from its start.",
            )
        sites = {
            name: SiteState(load_file(path / f"{name}.safetensors", device=str(device)), values)
            for name, values in content.sites.items()
        }
    except (OSError, msgspec.DecodeError, SafetensorError) as error:
        raise FormatError(
            f"{path} cannot be read: {error}.",
            "Remove it to resume from an older one, or retry the job from its start.",
        ) from error
    return SavedState(content.step, content.stream, sites)
