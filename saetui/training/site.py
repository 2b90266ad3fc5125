"""One site in training: its SAE, optimiser, dead latents and sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from saetui.activations import Site, Splice
from saetui.sae import (
    Candidates,
    DeadLatents,
    IntervalSums,
    Losses,
    SparseAutoencoder,
    build_from,
    combine,
    resample_dead,
    reset_moments,
)
from saetui.spec.settings import Settings
from saetui.spec.training_spec import TrainingSpec
from saetui.training import optimizers
from saetui.training.checkpoint import SiteState
from saetui.training.gradient_step import gradient_step
from saetui.training.options import new_sae, site_generator
from saetui.training.out_of_memory import Chunks
from saetui.training.pairs import Measured, Pair, Units, measure_units, pair_of
from saetui.training.sinks import SinkFilter, ordinary_rows

DEAD_REFRESH_STEPS = 10
"""Reading which latents are dead waits for the device, so it is not done at every step."""
NEVER = -1


class SiteTrainer:
    """Trains the SAE of one site. Raw activations in, raw predictions out; normalised units inside.

    Attributes:
        pair: what is read, and what is predicted.
        units: those of input and target.
        micro_batch: how many tokens the SAE works on at a time; fewer after the memory was short.
    """

    def __init__(
        self,
        pair: Pair,
        spec: TrainingSpec,
        settings: Settings,
        sae: SparseAutoencoder,
        units: Units,
        sinks: SinkFilter,
        compute_dtype: torch.dtype | None = None,
    ) -> None:
        """A trainer that has taken no step.

        Args:
            pair: what is read, and what is predicted.
            spec: for the seed.
            settings: the run's numbers.
            sae: on its device.
            units: of input and target.
            sinks: keeps sinks out of the training.
            compute_dtype: of the dense products; None for float32.
        """
        self.pair = pair
        self.sae = sae
        self.units = units
        self._sinks = sinks
        sae.compute_dtype = compute_dtype
        self.micro_batch = Chunks(settings.micro_batch_size, "tokens", self.device)
        self._settings = settings
        self._optimizer = optimizers.build_optimizer(sae, settings)
        self._dead = DeadLatents(sae.latents, settings.dead_neuron_window, device=self.device)
        self._candidates = Candidates(settings.resample_steps) if settings.resample_steps else None
        self._sums = IntervalSums(sae.latents, sae.d_out, self.device)
        self._gradient_norms = torch.zeros((), dtype=torch.float64, device=self.device)
        self._gradients = 0
        self._non_finite = torch.tensor(NEVER, dtype=torch.int64, device=self.device)
        # Each site draws from its own generator, so that sites trained together equal sites trained alone.
        self._generator = site_generator(spec.seed, pair.name)

    @classmethod
    def fresh(
        cls,
        pairs: Sequence[Pair],
        spec: TrainingSpec,
        settings: Settings,
        sample: Iterator[Mapping[str, Tensor]],
        device: torch.device,
        compute_dtype: torch.dtype | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> dict[str, SiteTrainer]:
        """New SAEs, each with its scales measured and b_dec at the mean of the first tokens, sinks left out.

        Args:
            pairs: those of the job.
            spec: for the seed and the architecture.
            settings: the run's numbers.
            sample: raw activations of training text by site, shape (n, d), without end.
            device: where to train.
            compute_dtype: of the dense products; None for float32.
            progress: called with the share of the measuring that is done.
        """
        units, first = measure_units(
            pairs, settings.normalize_activations, sample, settings.max_activation_norm, progress
        )
        trainers = {}
        for pair in pairs:
            mine = units[pair.name]
            rows = ordinary_rows(pair, mine, first)
            sae = new_sae(pair, spec, settings, mine, rows).to(device)
            sinks = SinkFilter(pair, mine, {site: values[:1].to(device) for site, values in rows.items()})
            trainers[pair.name] = cls(pair, spec, settings, sae, mine, sinks, compute_dtype)
        return trainers

    @classmethod
    def restored(
        cls,
        site: Site,
        spec: TrainingSpec,
        settings: Settings,
        state: SiteState,
        device: torch.device,
        compute_dtype: torch.dtype | None = None,
    ) -> SiteTrainer:
        """The trainer exactly as `state` left it."""
        sae = build_from(state.values["sae"], torch.Generator()).to(device)
        pair = pair_of(site, spec.architecture)
        groups = _grouped(state.tensors)
        units = Units.of(state.values["units"])
        sinks = SinkFilter.restored(pair, units, groups.get("sinks", {}), device)
        trainer = cls(pair, spec, settings, sae, units, sinks, compute_dtype)
        sae.load_state_dict(groups["sae"])
        optimizers.load_optimizer_state(trainer._optimizer, sae, groups.get("optimizer", {}))
        trainer._dead.load_state(groups["dead"])
        if trainer._candidates is not None:
            trainer._candidates.load_state(groups.get("candidates", {}))
        trainer._sums.load_state(groups["sums"])
        trainer._gradient_norms.copy_(groups["clip"]["norms"])
        trainer._gradients = state.values["gradients"]
        trainer._generator.set_state(groups["generator"]["state"].cpu())
        return trainer

    @property
    def device(self) -> torch.device:
        return self.sae.W_dec.device

    @property
    def latents(self) -> int:
        return self.sae.latents

    @property
    def dead(self) -> int:
        """Latents that are dead at this moment. Waits for the device."""
        return int(self._dead.mask.sum())

    def step(self, batch: Mapping[str, Tensor], step: int) -> None:
        """Trains on one batch. Waits for the device only where dead latents are read.

        Args:
            batch: raw activations by site, shape (batch_size, d); rows belong together.
            step: finished steps before this one.
        """
        settings = self._settings
        # Sinks are replaced before the batch is cut into micro-batches, whose size then changes nothing.
        filled = self._sinks.fill(batch)
        x, target = self._normalised(filled.rows)
        optimizers.set_learning_rate(self._optimizer, optimizers.learning_rate(settings, step))
        # Norms are reported and limited in the field's units, where an error is a sum over coordinates; ours is their mean.
        limit = math.inf if settings.grad_clip_norm is None else settings.grad_clip_norm / self.sae.d_out
        losses, norm = gradient_step(
            self.sae,
            self._optimizer,
            x,
            target,
            micro_batch=self.micro_batch,
            largest_norm=limit,
            sparsity_coefficient=self._sparsity_coefficient(step),
            dead=self._dead.current,
        )
        self._gradient_norms += norm * self.sae.d_out
        self._gradients += 1
        self._note_non_finite(losses, norm, step + 1)
        self._sinks.count(filled)
        self._sums.add(*self._judged(filled.rows, x if target is None else target, losses))
        self._dead.update(losses.statistics)
        if (step + 1) % DEAD_REFRESH_STEPS == 0:
            self._dead.refresh()
        if settings.resample_steps and self._candidates is not None:
            self._candidates.offer(x, target, step + 1)
            if (step + 1) % settings.resample_steps == 0:
                self._resample(*self._candidates.take())

    def interval_metrics(self, step: int) -> dict[str, float]:
        """The metrics since the last call; waits for the device.

        Args:
            step: finished steps.
        """
        metrics = {**self._sums.read(), **self._sinks.read()}
        if self._settings.skip_coeff is not None:
            # The loss has an error that the copied share makes smaller; the metric is that of decode(z) alone.
            metrics["recon_loss"] /= (1.0 - self._settings.skip_coeff) ** 2
        metrics["dead"] = float(self.dead)
        metrics["dead_fraction"] = metrics["dead"] / self.latents
        metrics["learning_rate"] = optimizers.learning_rate(self._settings, step - 1)
        if self._settings.sparsity_coefficient is not None:
            metrics["sparsity_coefficient"] = self._sparsity_coefficient(step - 1)
        metrics["grad_norm"] = float(self._gradient_norms) / self._gradients
        self._gradient_norms.zero_()
        self._gradients = 0
        return metrics

    def first_non_finite_step(self) -> int | None:
        """The step whose loss or gradient first was not finite. Waits for the device."""
        found = int(self._non_finite)
        return None if found == NEVER else found

    @property
    def sink_fraction(self) -> float | None:
        """The share of the training's tokens that were sinks; None where there is no limit. Waits for the device."""
        return self._sinks.share

    def measure(self, rows: Mapping[str, Tensor]) -> Measured:
        """Losses and counts on raw inputs, sinks included, without training."""
        x, target = self._normalised(rows)
        goals = [None] * len(self._chunks(x)) if target is None else self._chunks(target)
        losses = combine([self.sae.measure(*chunk) for chunk in zip(self._chunks(x), goals, strict=True)])
        return self._judged(rows, x if target is None else target, losses)

    def inputs(self, rows: Mapping[str, Tensor]) -> Tensor:
        """The SAE's normalised inputs, made from raw activations by site: shape (n, d_in)."""
        return self._normalised(rows)[0]

    def reconstruct(self, raw: Tensor) -> Tensor:
        """The SAE's prediction for raw inputs of shape (n, d_in), raw again: shape (n, d_out)."""
        with torch.no_grad():
            x = self.units.source.normalise(raw.to(self.device))
            x_hat = torch.cat([self.sae.reconstruct(chunk) for chunk in self._chunks(x)])
            return self.units.target.restore(x_hat, raw)

    @property
    def splice(self) -> Splice:
        """The SAE in its place in the model."""
        source = self.pair.source if self.pair.is_transcoder else None
        return Splice(self.pair.target, self.reconstruct, source, self.units.sinks)

    def state(self) -> SiteState:
        """Everything that the rest of the run depends on."""
        tensors = {
            **_prefixed("sae", self.sae.state_dict()),
            **_prefixed("optimizer", optimizers.optimizer_state(self._optimizer, self.sae)),
            **_prefixed("dead", self._dead.state()),
            **_prefixed("candidates", {} if self._candidates is None else self._candidates.state()),
            **_prefixed("sums", self._sums.state()),
            **_prefixed("sinks", self._sinks.state()),
            "clip.norms": self._gradient_norms,
            "generator.state": self._generator.get_state(),
        }
        values = {"sae": dict(self.sae.description), "units": self.units.description, "gradients": self._gradients}
        return SiteState(tensors, values)

    def _normalised(self, rows: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """The input of each token and, in a transcoder, its target."""
        x = self.units.source.normalise(self.pair.input_of(rows).to(self.device))
        if not self.pair.is_transcoder:
            return x, None
        return x, self.units.target.normalise(self.pair.target_of(rows).to(self.device))

    def _judged(self, rows: Mapping[str, Tensor], target: Tensor, losses: Losses) -> Measured:
        raw = self.pair.target_of(rows).to(self.device)
        return Measured.of(self.units, target, raw, losses)

    def _chunks(self, rows: Tensor) -> Sequence[Tensor]:
        """As large as a step's micro-batches: an evaluation must not need more memory than a step."""
        return torch.split(rows, self.micro_batch.size or len(rows))

    def _sparsity_coefficient(self, step: int) -> float:
        full = self._settings.sparsity_coefficient
        return 0.0 if full is None else full * optimizers.sparsity_factor(self._settings, step)

    def _note_non_finite(self, losses: Losses, norm: Tensor, step: int) -> None:
        # After a gradient that is not finite the weights are not either. The next loss would show it too late for a checkpoint.
        sound = torch.isfinite(losses.total.detach()) & torch.isfinite(norm)
        self._non_finite.masked_fill_((self._non_finite == NEVER) & ~sound, step)

    def _resample(self, x: Tensor, target: Tensor | None) -> None:
        self._dead.refresh()
        dead = self._dead.current
        if dead is None:
            return
        resets = resample_dead(self.sae, dead, x, self._generator, target)
        reset_moments(self._optimizer, resets)
        self._dead.revive(resets[0].indices)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        groups.setdefault(prefix, {})[rest] = tensor
    return groups
