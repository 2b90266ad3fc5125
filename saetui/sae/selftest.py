"""Whether each architecture finds a planted dictionary: a falling loss alone proves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from saetui.display.figures import percent
from saetui.errors import InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.dead import DeadLatents
from saetui.sae.options import Option
from saetui.sae.planted import PlantedDictionary, PlantedMap, recovered
from saetui.sae.registry import ARCHITECTURES, build
from saetui.sae.sums import IntervalSums
from saetui.sae.transcoder import SkipTranscoder

LEAST_RECOVERED = 0.95
"""Share of the planted directions that must be found, at a cosine of 0.9."""
MOST_DEAD = 0.30
"""Share of the latents that may be dead at the end: a quarter of them is more than the directions need."""
MOST_FVU = 0.25
"""Of held-out tokens. An L1 penalty shrinks every activation; the bound allows for that."""

# More directions than dimensions, so that no orthogonal basis fits, and a third more latents than directions.
_DIRECTIONS, _D, _LATENTS, _ACTIVE, _NOISE = 96, 64, 128, 3.0, 0.05
# A linear map can explain d_in of the n directions, for which no latent is needed then: so a narrow input.
_SKIP_D_IN, _SKIP_ACTIVE = 32, 2.0
_TOKENS = 512
_HELD_OUT = 8192
# Size of the linear part of the target's coordinates, beside the planted directions: for the skip transcoder's linear path.
_LINEAR = 0.5


@dataclass(frozen=True)
class SelftestRow:
    """How one architecture did.

    Attributes:
        architecture: its name.
        recovered: share of the planted directions that were found.
        dead: share of the latents that are dead.
        fvu: of held-out tokens.
        l0: of held-out tokens; three directions are in each on average.
        seconds: of training and evaluation.
        passed: whether all bounds are met.
        why: which bounds are missed; empty where none is.
    """

    architecture: str
    recovered: float
    dead: float
    fvu: float
    l0: float
    seconds: float
    passed: bool
    why: str


@dataclass(frozen=True)
class Sane:
    """Settings with which an architecture should do well.

    Attributes:
        options: of the architecture's class.
        coefficient: of its sparsity penalty, once warmed up.
        learning_rate: of Adam; it falls to 0 over the last fifth.
        steps: of 512 tokens.
    """

    options: Mapping[str, Option] = field(default_factory=dict)
    coefficient: float = 0.0
    learning_rate: float = 5e-3
    steps: int = 800


SETTINGS: Mapping[str, Sane] = {
    "standard": Sane(coefficient=0.03),
    "jumprelu": Sane(coefficient=0.03, learning_rate=6e-3),
    "gated": Sane(coefficient=0.07, learning_rate=6e-3),
    "topk": Sane({"k": 4}),
    "batch_topk": Sane({"k": 4}),
    # The inner prefix is wide enough for every direction: the directions have no order that a prefix could show.
    "matryoshka": Sane({"k": 4, "widths": [112, _LATENTS]}, steps=1000),
    "skip": Sane(coefficient=0.03),
    "transcoder": Sane({"k": 4}, learning_rate=3e-3),
    "skip_transcoder": Sane({"k": 4}, learning_rate=3e-3, steps=1200),
}
"""What is not named here is tried with L1-like settings."""
_OTHERWISE = Sane(coefficient=0.03)


def selftest(architectures: Sequence[str] | None = None, seed: int = 0) -> Iterator[SelftestRow]:
    """Train each architecture on planted directions; yields a row as each is done.

    `seed`: of the directions, the tokens and the weights.

    Raises:
        InvalidInput: a name that is not an architecture's.
    """
    return (try_planted(name, SETTINGS.get(name, _OTHERWISE), seed) for name in chosen(architectures))


def chosen(architectures: Sequence[str] | None) -> list[str]:
    """The names in a request, which must be architectures; all where it is None."""
    for name in architectures or ():
        if name not in ARCHITECTURES:
            raise InvalidInput(f"The architecture {name!r} is unknown.", f"Choose one of {', '.join(ARCHITECTURES)}.")
    return list(ARCHITECTURES if architectures is None else architectures)


def try_planted(architecture: str, settings: Sane, seed: int = 0) -> SelftestRow:
    """Train one architecture on planted directions, and count those that it found."""
    began = time.monotonic()
    generator = torch.Generator().manual_seed(seed)
    task = _Task.make(ARCHITECTURES[architecture], generator)
    sae = build(architecture, task.d_in, _D, _LATENTS, generator, **settings.options)
    first, goal = task.sample(_HELD_OUT, generator)
    sae.initialise_bias(first if goal is None else goal, inputs=None if goal is None else first)
    dead = _train(sae, task, settings, generator)
    sums = IntervalSums(_LATENTS, _D)
    x, goal = task.sample(_HELD_OUT, generator)
    sums.add(x if goal is None else goal, sae.measure(x, goal))
    metrics = sums.read()
    found, share = recovered(sae.W_dec, task.directions(sae)), dead / _LATENTS
    fvu = metrics["fvu"]
    why = shortfalls(
        (found >= LEAST_RECOVERED, f"{percent(found)} of the directions recovered, not {percent(LEAST_RECOVERED)}"),
        (share <= MOST_DEAD, f"{percent(share)} of the latents dead, more than {percent(MOST_DEAD)}"),
        (fvu <= MOST_FVU, f"FVU {fvu:.2f}, above {MOST_FVU:.2f}"),
    )
    return SelftestRow(
        architecture=architecture,
        recovered=found,
        dead=share,
        fvu=fvu,
        l0=metrics["l0"],
        seconds=time.monotonic() - began,
        passed=not why,
        why=why,
    )


@dataclass(frozen=True)
class _Task:
    """The planted truth: for a transcoder a map, for all others a dictionary."""

    planted: PlantedDictionary | PlantedMap

    @staticmethod
    def make(kind: type[SparseAutoencoder], generator: torch.Generator) -> _Task:
        if kind.centres_input:
            return _Task(PlantedDictionary.make(_DIRECTIONS, _D, _ACTIVE, _NOISE, generator))
        if issubclass(kind, SkipTranscoder):
            sizes = (_DIRECTIONS, _SKIP_D_IN, _D)
            return _Task(PlantedMap.make(*sizes, _SKIP_ACTIVE, _NOISE, _LINEAR, generator))
        return _Task(PlantedMap.make(_DIRECTIONS, _D, _D, _ACTIVE, _NOISE, 0.0, generator))

    @property
    def d_in(self) -> int:
        inputs = self.planted.inputs if isinstance(self.planted, PlantedMap) else self.planted
        return inputs.directions.shape[1]

    def sample(self, tokens: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """x, and the target of a transcoder."""
        if isinstance(self.planted, PlantedMap):
            return self.planted.sample(tokens, generator)
        return self.planted.sample(tokens, generator), None

    def directions(self, sae: SparseAutoencoder) -> Tensor:
        """The directions that the decoder's rows should have."""
        if isinstance(self.planted, PlantedDictionary):
            return self.planted.directions
        return self.planted.written(dict(sae.named_parameters()).get("W_skip"))


def _train(sae: SparseAutoencoder, task: _Task, settings: Sane, generator: torch.Generator) -> int:
    """Train the SAE. Returns the number of latents that are dead at the end."""
    optimizer = torch.optim.Adam(sae.parameters(), lr=settings.learning_rate, fused=True)
    dead = DeadLatents(sae.latents, window=100 * _TOKENS)
    for step in range(settings.steps):
        rate = min(1.0, (settings.steps - step) / (0.2 * settings.steps))
        optimizer.param_groups[0]["lr"] = settings.learning_rate * rate
        optimizer.zero_grad(set_to_none=True)
        x, goal = task.sample(_TOKENS, generator)
        coefficient = settings.coefficient * min(1.0, step / (0.05 * settings.steps))
        losses = sae.loss(x, goal, sparsity_coefficient=coefficient, dead=dead.current)
        torch.autograd.backward(losses.total)
        sae.observe(losses.statistics)
        sae.before_step()
        optimizer.step()
        sae.after_step()
        dead.update(losses.statistics)
        if step % 10 == 9:
            dead.refresh()
    return dead.refresh()


def shortfalls(*checks: tuple[bool, str]) -> str:
    """The sentences of the checks that do not hold; empty where all do."""
    return "; ".join(sentence for holds, sentence in checks if not holds)
