"""Warnings about a training's metrics, and what to do about each. Knows numbers only."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Union

from saetui.display.figures import percent
from saetui.spec.settings import Settings

DEAD_SHARE = 0.10
L0_FACTOR = 1.5
"""L0 is far from its target when it is this many times more or less."""
DENSE_SHARE = 0.25
"""A code in which more than this share of all latents is active is not sparse, whatever was asked for."""
FEWEST_ACTIVE = 1.0
RECENT_ROWS = 5
"""A single row is one interval's text; a judgement takes the mean of this many."""
SINK_SHARE = 0.05
"""Sinks are few: where more tokens than this are left out, the limit cuts into ordinary ones."""
SETTLED = 0.3
"""Before this share of the run L0 and FVU are still on their way."""
PLATEAU_SHARE = 0.15
"""Of the run: how long the loss must stand still."""
PLATEAU_ROWS = 20
PLATEAU_GAIN = 0.002
"""A relative gain of less than this over that time counts as standing still."""


class Concern(str, Enum):
    """What a warning is about."""

    DEAD = "dead"
    L0 = "l0"
    FVU = "fvu"
    PLATEAU = "plateau"
    SINKS = "sinks"
    NON_FINITE = "non_finite"


@dataclass(frozen=True)
class Advice:
    """One warning about a site: what is wrong, and the way out."""

    concern: Concern
    site: str
    message: str
    suggestion: str

    @property
    def sentence(self) -> str:
        """All of it, for an event."""
        return f"{self.site}: {self.message} {self.suggestion}"

    @property
    def data(self) -> dict[str, Any]:
        """For an event's data."""
        return {"concern": self.concern.value, "site": self.site, "suggestion": self.suggestion}


_Judgement = Union[tuple[Concern, str, str], None]
"""What is wrong, in words, and the way out."""


@dataclass
class _History:
    """What is remembered of one site."""

    rows: deque[Mapping[str, float]] = field(default_factory=lambda: deque(maxlen=RECENT_ROWS))
    losses: deque[float] = field(default_factory=deque)
    warned: set[Concern] = field(default_factory=set)

    def recent(self, name: str) -> float | None:
        """The mean of a metric over the newest rows; None before there are enough."""
        values = [row[name] for row in self.rows if name in row and math.isfinite(row[name])]
        return sum(values) / len(values) if len(values) == RECENT_ROWS else None


class Watch:
    """Judges the rows of a training as they come, and warns of each concern of a site once."""

    def __init__(self, architecture: str, settings: Settings) -> None:
        self._architecture = architecture
        self._settings = settings
        self._sites: dict[str, _History] = {}
        per_window = PLATEAU_SHARE * settings.num_steps / settings.log_interval
        self._plateau_rows = max(PLATEAU_ROWS, math.ceil(per_window))

    def judge(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> list[Advice]:
        """New warnings about the interval that ended with `step`; one row a site."""
        found: list[Advice] = []
        for site, row in rows.items():
            history = self._sites.setdefault(site, _History())
            history.rows.append(row)
            history.losses.append(row.get("loss", math.nan))
            while len(history.losses) > 2 * self._plateau_rows:
                history.losses.popleft()
            found += self._new(
                site,
                self._non_finite(step, row),
                self._dead(step, row),
                self._l0(step, history),
                self._fvu(step, history),
                self._plateau(step, history),
                self._sinks(history.recent("sink_fraction"), "training"),
            )
        return found

    def judge_held_out(self, rows: Mapping[str, Mapping[str, float]]) -> list[Advice]:
        """New warnings about an evaluation on held-out text; one row a site."""
        found: list[Advice] = []
        for site, row in rows.items():
            fvu = row.get("fvu", 0.0)
            found += self._new(
                site,
                self._sinks(row.get("sink_fraction"), "held-out"),
                self._no_better_than_the_mean(fvu, "On held-out text the") if fvu >= 1.0 else None,
            )
        return found

    def _new(self, site: str, *judgements: _Judgement) -> list[Advice]:
        warned = self._sites.setdefault(site, _History()).warned
        new = [
            Advice(judged[0], site, judged[1], judged[2])
            for judged in judgements
            if judged is not None and judged[0] not in warned
        ]
        warned |= {advice.concern for advice in new}
        return new

    def _non_finite(self, step: int, row: Mapping[str, float]) -> _Judgement:
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if not bad:
            return None
        message = f"{', '.join(bad)} {'is' if len(bad) == 1 else 'are'} not finite in the steps up to {step}."
        return Concern.NON_FINITE, message, "Lower learning_rate, or lengthen warmup_steps."

    def _dead(self, step: int, row: Mapping[str, float]) -> _Judgement:
        share = row.get("dead_fraction", 0.0)
        settled = step * self._settings.batch_size >= 2 * self._settings.dead_neuron_window
        if not settled or share <= DEAD_SHARE:
            return None
        return Concern.DEAD, f"{percent(share)} of the latents are dead.", self._fewer_dead()

    def _l0(self, step: int, history: _History) -> _Judgement:
        l0 = history.recent("l0")
        if l0 is None or not self._settled(step):
            return None
        target, latents, penalty = self._settings.target_l0, self._settings.latents, self._penalty()
        if target is not None:
            if target / L0_FACTOR <= l0 <= target * L0_FACTOR:
                return None
            message = f"L0 is {l0:.1f}, far from the {target:g} that were asked for."
            return Concern.L0, message, self._towards(l0, target)
        if l0 < FEWEST_ACTIVE:
            return Concern.L0, f"L0 is {l0:.2f}: hardly any latent is active.", f"Lower {penalty}."
        if l0 > DENSE_SHARE * latents:
            return Concern.L0, f"L0 is {l0:.0f} of {latents} latents: the code is not sparse.", f"Raise {penalty}."
        return None

    def _fvu(self, step: int, history: _History) -> _Judgement:
        fvu = history.recent("fvu")
        if fvu is None or fvu < 1.0 or not self._settled(step):
            return None
        return self._no_better_than_the_mean(fvu, "The")

    def _no_better_than_the_mean(self, fvu: float, begin: str) -> _Judgement:
        message = f"{begin} FVU is {fvu:.2f}: predicting the mean would do as well."
        penalty = "" if self._settings.sparsity_coefficient is None else f"{self._penalty()} or "
        way_out = f"Lower {penalty}learning_rate."
        if self._architecture == "skip":
            way_out += " Lower skip_coeff too: what it copies from the input is not counted."
        return Concern.FVU, message, way_out

    def _sinks(self, share: float | None, which: str) -> _Judgement:
        if share is None or share <= SINK_SHARE:
            return None
        message = f"{percent(share)} of the {which} tokens are longer than max_activation_norm and left out."
        return Concern.SINKS, message, "Start a job with a higher max_activation_norm, or with off."

    def _plateau(self, step: int, history: _History) -> _Judgement:
        settings, rows = self._settings, self._plateau_rows
        steady = settings.lr_schedule == "constant" and step <= settings.num_steps - settings.decay_steps
        begin = step - 2 * rows * settings.log_interval
        if not steady or len(history.losses) < 2 * rows or begin < self._warm():
            return None
        losses = list(history.losses)
        before, now = sum(losses[:rows]) / rows, sum(losses[rows:]) / rows
        if not (math.isfinite(before) and math.isfinite(now)) or before - now >= PLATEAU_GAIN * abs(before):
            return None
        message = f"The loss has not changed for {rows * settings.log_interval} steps, at {now:.4g}."
        way_out = "A longer run will not help: stop here, or start one with another learning_rate or a wider SAE."
        return Concern.PLATEAU, message, way_out

    def _warm(self) -> int:
        return max(self._settings.warmup_steps, self._settings.sparsity_warmup_steps)

    def _settled(self, step: int) -> bool:
        return step >= max(SETTLED * self._settings.num_steps, 2 * self._warm())

    def _penalty(self) -> str:
        return "l0_alpha" if self._architecture == "jumprelu" else "l1_alpha"

    def _towards(self, l0: float, target: float) -> str:
        if self._settings.k is None:
            return "Raise l0_alpha or bandwidth, or take more steps."
        if l0 < target:
            return "There is little more to explain, or too few latents are alive: lower k, or raise aux_k_alpha."
        return "Lower learning_rate."

    def _fewer_dead(self) -> str:
        """The way out of many dead latents; the architecture's own means first."""
        if self._settings.k is not None:
            return "Raise aux_k_alpha or aux_k, lower learning_rate, or use a smaller width."
        if self._architecture == "jumprelu":
            return "Raise pre_activation_alpha, lower l0_alpha or learning_rate, or use a smaller width."
        if self._settings.resample_steps is None:
            return "Set resample_steps to about a tenth of the run, lower l1_alpha, or use a smaller width."
        return "Lower l1_alpha, lengthen sparsity_warmup_steps, or use a smaller width."
