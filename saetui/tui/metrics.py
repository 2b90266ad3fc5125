"""The metrics that charts show, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from saetui.display.figures import number, percent
from saetui.spec.architectures import BY_K, BY_L1


class Log(Enum):
    """The log of a job's directory that has a metric."""

    TRAINING = "training"
    HELD_OUT = "held-out"
    JOB = "job"


@dataclass(frozen=True)
class Metric:
    """The metric of a chart.

    Attributes:
        column: its name in the log.
        log_scale: may have a logarithmic axis.
        zero: the axis begins at 0.
        held_out: the values on held-out text are drawn too.
        exact: never smoothed.
        scale: the axis shows values times this.
        unit: one letter after the labels of the axis.
        show: a value as people read it.
    """

    column: str
    title: str
    log: Log = Log.TRAINING
    log_scale: bool = False
    zero: bool = False
    held_out: bool = False
    exact: bool = False
    scale: float = 1.0
    unit: str = ""
    show: Callable[[float], str] = number


_GIB = 2.0**-30
_share = partial(percent, digits=2)

METRICS: tuple[Metric, ...] = (
    Metric("loss", "loss", log_scale=True),
    Metric("fvu", "FVU", log_scale=True, held_out=True),
    Metric("l0", "L0", held_out=True),
    Metric("dead_fraction", "dead", zero=True, exact=True, scale=100, unit="%", show=_share),
    Metric("ce_recovered", "CE recovered", Log.HELD_OUT, exact=True, scale=100, unit="%", show=_share),
    Metric("grad_norm", "gradient norm", log_scale=True),
    Metric("learning_rate", "learning rate", zero=True, exact=True),
    Metric("tokens_per_second", "tokens/s", Log.JOB),
    Metric("memory_bytes", "memory", Log.JOB, scale=_GIB, unit="G", show=lambda value: f"{number(_GIB * value)} GiB"),
    Metric("recon_loss", "reconstruction loss", log_scale=True),
    Metric("sparsity_loss", "sparsity loss", log_scale=True),
    Metric("aux_loss", "auxiliary loss", log_scale=True),
    Metric("sparsity_coefficient", "sparsity coefficient", zero=True, exact=True),
)
"""In the order of the charts."""


def columns_of(log: Log) -> list[str]:
    """The columns of a log that charts show."""
    with_held_out = log is Log.HELD_OUT
    return [metric.column for metric in METRICS if metric.log is log or (with_held_out and metric.held_out)]


def in_order(recorded: Sequence[Metric], chosen: Sequence[str], architecture: str) -> list[Metric]:
    """The charts of a job: the chosen ones first.

    Where the architecture keeps as many latents as it was asked for, L0 is a flat line: it comes last unless it was chosen.
    """
    flat = architecture in BY_K and architecture not in BY_L1
    first = [metric for column in chosen for metric in recorded if metric.column == column]
    rest = [metric for metric in recorded if metric not in first]
    return first + sorted(rest, key=lambda metric: flat and metric.column == "l0")
