"""An SAE that is finished, ours or another's, where the held-out evaluation expects one in training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from saetui.activations import HookPoint, LanguageModel, Site, Splice
from saetui.errors import ModelError
from saetui.sae import LoadedSAE, Losses
from saetui.sae.layouts import load_sae
from saetui.training.pairs import Pair
from saetui.training.placement import Placement, place


class FinishedSAE:
    """Judges the SAE of a directory as it is at inference: a batch_topk by its threshold.

    Attributes:
        loaded: the SAE, and the units it works in.
        pair: what it reads, and what it predicts.
        placed: the tensors there that its tool had in place of the model's own.
    """

    def __init__(self, loaded: LoadedSAE, placed: Placement, device: torch.device) -> None:
        self.loaded, self.placed = loaded, placed
        site = placed.site
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
        x = self.loaded.normalization.normalise(
            self.placed.source.take(self.pair.input_of(rows).to(self.device).float())
        )
        target = None
        if self.pair.is_transcoder:
            raw = self.pair.target_of(rows).to(self.device).float()
            target = self.loaded.target.normalise(self.placed.target.take(raw))
        losses = self.sae.measure(x, target)
        self._fired |= losses.statistics.fired > 0
        return (x if target is None else target), losses

    def _reconstruct(self, raw: Tensor) -> Tensor:
        with torch.no_grad():
            raw = raw.to(self.device)
            read = self.placed.source.take(raw.float())
            predicted = self.loaded.target.restore(
                self.sae.reconstruct(self.loaded.normalization.normalise(read)), read
            )
            if not self.pair.is_transcoder:
                # A transcoder's target may be centred too, but its mean is unseen by every norm behind it.
                predicted = self.placed.target.put_back(predicted, raw.float())
            return predicted.to(raw.dtype)


def open_finished(
    directory: Path,
    device: torch.device,
    width: int,
    layer: int | None,
    hook_point: str | None,
    model: LanguageModel | None = None,
    loaded: LoadedSAE | None = None,
) -> FinishedSAE:
    """The SAE of a directory, at the site that it names or that is asked for.

    Args:
        directory: in a layout that can be read.
        device: where to compute.
        width: of the model's activations.
        layer: None for the one in the metadata.
        hook_point: None for the one in the metadata.
        model: that it is put into; without one it is taken at its name's word.
        loaded: the SAE, where it has been read already.

    Raises:
        FormatError: it is no SAE that can be read.
        InvalidInput: it does not say where it belongs, or belongs to another kind of place.
        ModelError: the model is of another width, or has no such place.
    """
    loaded = loaded or load_sae(directory)
    if loaded.sae.d_in != width or loaded.sae.d_out != width:
        raise ModelError(
            f"The SAE in {directory} reads activations of width {loaded.sae.d_in} and gives {loaded.sae.d_out}; "
            f"the model's have {width}.",
            "Name the model that it was trained on with --model.",
        )
    return FinishedSAE(loaded, place(loaded, directory, layer, hook_point, model), device)
