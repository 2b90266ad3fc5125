"""One site in training: its SAE, optimiser, dead latents and sums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from saetui.activations import Site
from saetui.jobs.settings import Settings
from saetui.jobs.spec import TrainingSpec
from saetui.sae import (
    DeadLatents,
    IntervalSums,
    Losses,
    Normalization,
    ScaleEstimator,
    SparseAutoencoder,
    build,
    build_from,
    resample_dead,
    reset_moments,
)
from saetui.training.checkpoint import SiteState
from saetui.training.optimizers import build_optimizer, load_optimizer_state, optimizer_state, set_learning_rate
from saetui.training.schedules import learning_rate, sparsity_factor

DEAD_REFRESH_STEPS = 10
"""Reading which latents are dead waits for the device, so it is not done at every step."""
NEVER = -1


class SiteTrainer:
    """Trains the SAE of one site. Raw activations in, raw reconstructions out; normalised units inside."""

    def __init__(
        self, site: Site, spec: TrainingSpec, settings: Settings, sae: SparseAutoencoder, normalization: Normalization
    ) -> None:
        self.site = site
        self.sae = sae
        self.normalization = normalization
        self._settings = settings
        self._optimizer = build_optimizer(sae, settings)
        self._dead = DeadLatents(sae.latents, settings.dead_neuron_window, device=self.device)
        self._sums = IntervalSums(sae.latents, sae.d_out, self.device)
        self._gradient_norms = torch.zeros((), dtype=torch.float64, device=self.device)
        self._gradients = 0
        self._non_finite = torch.tensor(NEVER, dtype=torch.int64, device=self.device)
        # Each site draws from its own generator, so that sites trained together equal sites trained alone.
        self._generator = torch.Generator().manual_seed(_site_seed(spec.seed, site))

    @classmethod
    def fresh(
        cls,
        sites: Sequence[Site],
        spec: TrainingSpec,
        settings: Settings,
        sample: Iterator[Mapping[str, Tensor]],
        device: torch.device,
    ) -> dict[str, SiteTrainer]:
        """New SAEs, each with its scale measured and b_dec at the mean of the first tokens.

        Args:
            sites: those of the job.
            spec: for the seed and the architecture.
            settings: the run's numbers.
            sample: raw activations of training text by site, shape (n, d), without end.
            device: where to train.
        """
        blocks = _measure(sites, settings, sample)
        return {site.name: cls._initialised(site, spec, settings, *blocks[site.name], device) for site in sites}

    @classmethod
    def restored(
        cls, site: Site, spec: TrainingSpec, settings: Settings, state: SiteState, device: torch.device
    ) -> SiteTrainer:
        """The trainer exactly as `state` left it."""
        sae = build_from(state.values["sae"], torch.Generator()).to(device)
        normalization = Normalization(**state.values["normalization"])
        trainer = cls(site, spec, settings, sae, normalization)
        groups = _grouped(state.tensors)
        sae.load_state_dict(groups["sae"])
        load_optimizer_state(trainer._optimizer, sae, groups.get("optimizer", {}))
        trainer._dead.load_state(groups["dead"])
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

    def step(self, raw: Tensor, step: int) -> None:
        """Learn from one batch; waits for the device only where dead latents are read.

        Args:
            raw: raw activations, shape (batch_size, d_in).
            step: finished steps before this one.
        """
        settings, sae, optimizer = self._settings, self.sae, self._optimizer
        x = self.normalization.normalise(raw.to(self.device))
        set_learning_rate(optimizer, learning_rate(settings, step))
        optimizer.zero_grad(set_to_none=True)
        losses = sae.accumulate(
            x,
            sparsity_coefficient=self._sparsity_coefficient(step),
            dead=self._dead.current,
            micro_batch=settings.micro_batch_size,
        )
        sae.before_step()
        self._gradient_norms += torch.nn.utils.clip_grad_norm_(
            sae.parameters(), settings.grad_clip_norm if settings.grad_clip_norm is not None else float("inf")
        )
        self._gradients += 1
        optimizer.step()
        sae.after_step()
        self._note_non_finite(losses, step + 1)
        self._sums.add(x, losses)
        self._dead.update(losses.statistics)
        if (step + 1) % DEAD_REFRESH_STEPS == 0:
            self._dead.refresh()
        if settings.resample_steps and (step + 1) % settings.resample_steps == 0:
            self._resample(x)

    def interval_metrics(self, step: int) -> dict[str, float]:
        """The metrics since the last call; waits for the device.

        Args:
            step: finished steps.
        """
        metrics = self._sums.read()
        metrics["dead"] = float(self.dead)
        metrics["dead_fraction"] = metrics["dead"] / self.latents
        metrics["learning_rate"] = learning_rate(self._settings, step - 1)
        if self._settings.l1_alpha is not None:
            metrics["sparsity_coefficient"] = self._sparsity_coefficient(step - 1)
        metrics["grad_norm"] = float(self._gradient_norms) / self._gradients
        self._gradient_norms.zero_()
        self._gradients = 0
        return metrics

    def first_non_finite_step(self) -> int | None:
        """The step whose loss first was not finite. Waits for the device."""
        found = int(self._non_finite)
        return None if found == NEVER else found

    def measure(self, raw: Tensor) -> tuple[Tensor, Losses]:
        """Normalised inputs, shape (n, d_in), and what the SAE makes of them; nothing is learned."""
        x = self.normalization.normalise(raw.to(self.device))
        return x, self.sae.measure(x)

    def reconstruct(self, raw: Tensor) -> Tensor:
        """The SAE's reconstruction of raw activations of shape (n, d_in), raw again."""
        with torch.no_grad():
            x_hat = self.sae(self.normalization.normalise(raw.to(self.device)))
            return self.normalization.restore(x_hat, raw)

    def state(self) -> SiteState:
        """Everything that the rest of the run depends on."""
        tensors = {
            **_prefixed("sae", self.sae.state_dict()),
            **_prefixed("optimizer", optimizer_state(self._optimizer, self.sae)),
            **_prefixed("dead", self._dead.state()),
            **_prefixed("sums", self._sums.state()),
            "clip.norms": self._gradient_norms,
            "generator.state": self._generator.get_state(),
        }
        values = {
            "sae": dict(self.sae.description),
            "normalization": dict(self.normalization.description),
            "gradients": self._gradients,
        }
        return SiteState(tensors, values)

    @classmethod
    def _initialised(
        cls,
        site: Site,
        spec: TrainingSpec,
        settings: Settings,
        normalization: Normalization,
        first_tokens: Tensor,
        device: torch.device,
    ) -> SiteTrainer:
        generator = torch.Generator().manual_seed(_site_seed(spec.seed, site))
        width = first_tokens.shape[1]
        options = _options(spec.architecture, settings)
        sae = build(spec.architecture, width, width, settings.latents, generator, **options)
        sae.initialise_bias(normalization.normalise(first_tokens.cpu()))
        return cls(site, spec, settings, sae.to(device), normalization)

    def _sparsity_coefficient(self, step: int) -> float:
        if self._settings.l1_alpha is None:
            return 0.0
        return self._settings.l1_alpha * sparsity_factor(self._settings, step)

    def _note_non_finite(self, losses: Losses, step: int) -> None:
        first = (self._non_finite == NEVER) & ~torch.isfinite(losses.total.detach())
        self._non_finite.masked_fill_(first, step)

    def _resample(self, x: Tensor) -> None:
        self._dead.refresh()
        dead = self._dead.current
        if dead is None:
            return
        reset_moments(self._optimizer, resample_dead(self.sae, dead, x, self._generator))
        self._dead.revive(dead.indices)


def _measure(
    sites: Sequence[Site], settings: Settings, sample: Iterator[Mapping[str, Tensor]]
) -> dict[str, tuple[Normalization, Tensor]]:
    """For each site its normalisation and the first block of its activations."""
    first = next(sample)
    if settings.normalize_activations != "constant_norm":
        plain = Normalization("layer_norm" if settings.normalize_activations == "layer_norm" else "none")
        return {site.name: (plain, first[site.name]) for site in sites}
    estimators = {site.name: ScaleEstimator(first[site.name].shape[1]) for site in sites}
    block = first
    while True:
        # A site that is known well enough takes no more, so that its scale does not depend on the other sites.
        unsettled = [name for name, estimator in estimators.items() if not estimator.settled]
        if not unsettled:
            return {name: (estimator.result(), first[name]) for name, estimator in estimators.items()}
        for name in unsettled:
            estimators[name].add(block[name])
        block = next(sample)


def _options(architecture: str, settings: Settings) -> dict[str, Any]:
    """The settings under the names that the SAE library gives them."""
    options: dict[str, Any] = {
        "decoder_norm": settings.decoder_norm,
        "firing_threshold": settings.dead_neuron_threshold,
    }
    if architecture == "topk":
        return options | {"k": settings.k, "aux_k": settings.aux_k, "aux_k_alpha": settings.aux_k_alpha}
    return options | {"tie_weights": settings.tie_weights, "ghost_gradients": settings.ghost_grad_penalty}


def _site_seed(seed: int, site: Site) -> int:
    """The same for a site whatever other sites its job has."""
    digest = hashlib.blake2b(f"{seed} {site.name}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _grouped(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        groups.setdefault(prefix, {})[rest] = tensor
    return groups
