"""An SAE that is finished, ours or another's, where the held-out evaluation expects one in training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from saetui.activations import HookPoint, Site, Splice
from saetui.errors import InvalidInput, ModelError
from saetui.sae import LoadedSAE, Losses
from saetui.sae.layouts import load_sae
from saetui.training.pairs import Pair

_BLOCK = re.compile(r"blocks\.(\d{1,4})\.(.+)")
_POINTS = {Site(0, point).transformer_lens_name.removeprefix("blocks.0."): point for point in HookPoint}


class FinishedSAE:
    """Judges the SAE of a directory as it is at inference: a batch_topk by its threshold.

    Attributes:
        loaded: the SAE, and the units it works in.
        pair: what it reads, and what it predicts.
    """

    def __init__(self, loaded: LoadedSAE, site: Site, device: torch.device) -> None:
        self.loaded = loaded
        self.pair = Pair(site, site if loaded.sae.centres_input else Site(site.layer, HookPoint.MLP_OUT))
        self.sae = loaded.sae.to(device)
        self._fired = torch.zeros(loaded.sae.latents, dtype=torch.bool, device=device)

    @property
    def device(self) -> torch.device:
        return self.sae.W_dec.device

    @property
    def latents(self) -> int:
        return self.sae.latents

    @property
    def dead(self) -> int:
        """Latents that have fired on nothing that was measured. Waits for the device."""
        return int((~self._fired).sum())

    @property
    def splice(self) -> Splice:
        """The SAE in its place in the model."""
        return Splice(self.pair.target, self._reconstruct, self.pair.source if self.pair.is_transcoder else None)

    def measure(self, rows: Mapping[str, Tensor]) -> tuple[Tensor, Losses]:
        """The targets (n, d_out) in the units that the SAE works in, and what it makes of its inputs.

        Args:
            rows: raw activations by site, shape (n, d).
        """
        x = self.loaded.normalization.normalise(self.pair.input_of(rows).to(self.device))
        target = None
        if self.pair.is_transcoder:
            target = self.loaded.target.normalise(self.pair.target_of(rows).to(self.device))
        losses = self.sae.measure(x, target)
        self._fired |= losses.statistics.fired > 0
        return (x if target is None else target), losses

    def _reconstruct(self, raw: Tensor) -> Tensor:
        with torch.no_grad():
            raw = raw.to(self.device)
            return self.loaded.target.restore(self.sae.reconstruct(self.loaded.normalization.normalise(raw)), raw)


def open_finished(
    directory: Path, device: torch.device, width: int, layer: int | None, hook_point: str | None
) -> FinishedSAE:
    """The SAE of a directory, at the site that it names or that is asked for.

    Args:
        directory: in a layout that can be read.
        device: where to compute.
        width: of the model's activations.
        layer: None for the one in the metadata.
        hook_point: None for the one in the metadata.

    Raises:
        FormatError: it is no SAE that can be read.
        InvalidInput: it does not say where it belongs, or belongs to another kind of place.
        ModelError: the model is of another width.
    """
    loaded = load_sae(directory)
    if loaded.sae.d_in != width or loaded.sae.d_out != width:
        raise ModelError(
            f"The SAE in {directory} reads activations of width {loaded.sae.d_in} and gives {loaded.sae.d_out}; "
            f"the model's have {width}.",
            "Name the model that it was trained on with --model.",
        )
    return FinishedSAE(loaded, _site_of(loaded, directory, layer, hook_point), device)


def _site_of(loaded: LoadedSAE, directory: Path, layer: int | None, hook_point: str | None) -> Site:
    name = loaded.metadata.get("hook_name")
    match = _BLOCK.fullmatch(name) if isinstance(name, str) else None
    point = HookPoint(hook_point) if hook_point else _POINTS.get(match[2]) if match else None
    if not loaded.sae.centres_input and point is None and hook_point is None:
        point = HookPoint.MLP_IN
    number = layer if layer is not None else int(match[1]) if match else None
    if number is None or point is None:
        named = f"names the site {name!r}" if isinstance(name, str) else "does not say its site"
        raise InvalidInput(
            f"The SAE in {directory} {named}, which is none of saetui's.",
            f"Give --layer and --hook-point (one of {', '.join(known.value for known in HookPoint)}).",
        )
    if not loaded.sae.centres_input and point is not HookPoint.MLP_IN:
        raise InvalidInput(
            f"The transcoder in {directory} would read {point.value}; a transcoder reads mlp_in.",
            "Give --hook-point mlp_in.",
        )
    return Site(number, point)
