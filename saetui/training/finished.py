"""A finished SAE, of saetui or of another tool, in a form that the held-out evaluation takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from saetui.activations import HookPoint, LanguageModel, Site, Splice
from saetui.errors import FormatError, ModelError
from saetui.sae import LoadedSAE, Normalization
from saetui.sae.formats.layouts import load_sae
from saetui.training.pairs import Measured, Pair, Units
from saetui.training.placement import Placement, place


class FinishedSAE:
    """The SAE of a directory as it is at inference: a batch_topk chooses by its threshold.

    Attributes:
        loaded: the SAE with the units it works in.
        placed: the site, and the tensors that the SAE reads and predicts there.
        pair: the sites that it reads and predicts.
        units: of input and target, with the limits beyond which a token is a sink.
    """

    def __init__(self, loaded: LoadedSAE, placed: Placement, device: torch.device) -> None:
        self.loaded, self.placed = loaded, placed
        site = placed.site
        self.pair = Pair(site, site if loaded.sae.centres_input else Site(site.layer, HookPoint.MLP_OUT))
        self.sae = loaded.sae.to(device)
        self.units = _units_of(loaded)

    @property
    def dead(self) -> None:
        """Unknown without a training: a latent that fires on none of the tokens at hand may only be rare."""
        return None

    @property
    def splice(self) -> Splice:
        """The SAE in its place in the model."""
        source = self.pair.source if self.pair.is_transcoder else None
        return Splice(self.pair.target, self._reconstruct, source, self.units.sinks)

    def measure(self, rows: Mapping[str, Tensor]) -> Measured:
        """How the SAE does on raw activations by site, shape (n, d), sinks or not."""
        source = self.placed.source.take(self.pair.input_of(rows).to(self.sae.W_dec.device).float())
        x = self.units.source.normalise(source)
        raw, target = source, None
        if self.pair.is_transcoder:
            raw = self.placed.target.take(self.pair.target_of(rows).to(self.sae.W_dec.device).float())
            target = self.units.target.normalise(raw)
        losses = self.sae.measure(x, target)
        return Measured.of(self.units, x if target is None else target, raw, losses)

    def _reconstruct(self, raw: Tensor) -> Tensor:
        with torch.no_grad():
            raw = raw.to(self.sae.W_dec.device)
            read = self.placed.source.take(raw.float())
            predicted = self.loaded.target.restore(
                self.sae.reconstruct(self.loaded.normalization.normalise(read)), read
            )
            # A transcoder's target may be centred too, but every norm behind it removes the mean anyway.
            if not (self.pair.is_transcoder and self.placed.target.centred):
                predicted = self.placed.target.put_back(predicted, raw.float())
            return predicted.to(raw.dtype)


def _units_of(loaded: LoadedSAE) -> Units:
    """The units of an SAE, with the limits beyond which saetui did not train it; an SAE of another tool has none."""
    own = loaded.metadata.get("saetui")
    facts = own if isinstance(own, dict) else {}
    source = _limited(loaded.normalization, facts.get("normalization"))
    target = source if loaded.sae.centres_input else _limited(loaded.target, facts.get("target_normalization"))
    return Units(source, target)


def _limited(units: Normalization, described: object) -> Normalization:
    limit = described.get("norm_limit") if isinstance(described, dict) else None
    if limit is None:
        return units
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not (math.isfinite(limit) and limit > 0):
        raise FormatError(
            f"norm_limit in the metadata of the SAE is {limit!r}.",
            "It must be a positive number; export the SAE again.",
        )
    return dataclasses.replace(units, norm_limit=float(limit))


def open_finished(
    directory: Path,
    device: torch.device,
    width: int,
    layer: int | None,
    hook_point: str | None,
    model: LanguageModel | None = None,
    loaded: LoadedSAE | None = None,
) -> FinishedSAE:
    """The SAE of a directory (`loaded`, where it has been read already), at the site in its metadata or at a given one.

    Args:
        width: of the model's activations.
        model: into which the SAE is put; None: only the name of the site counts.

    Raises:
        FormatError: it is no SAE that can be read.
        InvalidInput: the metadata name no site, or one of another kind.
        ModelError: the model is of another width, or has no such site.
    """
    loaded = loaded or load_sae(directory)
    if loaded.sae.d_in != width or loaded.sae.d_out != width:
        raise ModelError(
            f"The SAE in {directory} reads activations of width {loaded.sae.d_in} and gives {loaded.sae.d_out}; "
            f"the model's have {width}.",
            "Name the model that it was trained on with --model.",
        )
    return FinishedSAE(loaded, place(loaded, directory, layer, hook_point, model), device)
