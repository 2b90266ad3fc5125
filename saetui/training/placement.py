"""The place of a finished SAE in a model, and the tensor that its tool read there instead of the model's own activation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from saetui.activations import HookPoint, LanguageModel, Site
from saetui.activations.norms import norm_before, stream_norms, takes_mean_away, weight_and_bias
from saetui.activations.site_names import NamedSite, read_site_name, require_same_tensor
from saetui.errors import InvalidInput
from saetui.sae import LoadedSAE
from saetui.sae.formats.models import ModelChanges, changes_to_model, require_all_positions

_SMALLEST = 1e-4
"""A norm's weight is too small to divide by when it is smaller than this, relative to the largest: rounding has lost its input."""


@dataclass(frozen=True)
class View:
    """The tensor that an SAE reads, computed from the model's own activation x, shape (n, d).

    Attributes:
        factor: x is the module's output times this (`Location.factor`), and the SAE reads the output itself: x/factor.
        centred: the SAE reads x minus its mean over the width.
        weight: with the bias: the SAE reads (x − bias)/weight, a norm's output before its weight and bias, shapes (d,).
    """

    factor: float = 1.0
    centred: bool = False
    weight: Tensor | None = None
    bias: Tensor | None = None

    def take(self, raw: Tensor) -> Tensor:
        """The tensor that the SAE's tool has in place of raw activations (n, d)."""
        if self.factor != 1.0:
            return raw / self.factor
        if self.centred:
            return raw - raw.mean(-1, keepdim=True)
        if self.weight is not None and self.bias is not None:
            return (raw - self.bias.to(raw.device)) / self.weight.to(raw.device)
        return raw

    def put_back(self, predicted: Tensor, raw: Tensor) -> Tensor:
        """The inverse of `take`, for a prediction: what goes into the model in place of raw activations, both (n, d)."""
        if self.factor != 1.0:
            return predicted * self.factor
        if self.centred:
            return predicted + raw.mean(-1, keepdim=True)
        if self.weight is not None and self.bias is not None:
            return predicted * self.weight.to(raw.device) + self.bias.to(raw.device)
        return predicted


@dataclass(frozen=True)
class Placement:
    """The place of an SAE.

    Attributes:
        site: that the SAE reads.
        source: the tensor that it reads there.
        target: the tensor that it predicts, at the site that it predicts.
        notes: sentences for a reader of its figures.
    """

    site: Site
    source: View = View()
    target: View = View()
    notes: tuple[str, ...] = ()


def place(
    loaded: LoadedSAE, directory: Path, layer: int | None, hook_point: str | None, model: LanguageModel | None
) -> Placement:
    """The place of an SAE by its metadata, or at a given layer and hook point.

    `model`: into which the SAE is put; None: only the name of the site counts.

    Raises:
        InvalidInput: the metadata name no site, or one that saetui does not read, or a change to the model that saetui cannot
            repeat.
        ModelError: the model has no such site.
    """
    facts = loaded.metadata
    require_all_positions(facts)
    changes = changes_to_model(facts)
    named = _named(loaded, asked=hook_point is not None)
    site = _site(loaded, directory, named, layer, hook_point)
    if named is not None and named.site.hook_point is not site.hook_point:
        named = None
    target = _target(loaded, site, named)
    normalised = named is not None and (named.normalised or (changes.folded and site.hook_point is HookPoint.MLP_IN))
    if model is None:
        if changes.centred or normalised:
            raise InvalidInput(
                f"The SAE in {directory} reads a tensor made of its model's activations.", "Give the model."
            )
        return Placement(site)
    for place_named in (named, target):
        if place_named is not None:
            require_same_tensor(model, replace(place_named, site=Site(site.layer, place_named.site.hook_point)))
    return _placed(loaded, site, changes, normalised, model)


def _placed(loaded: LoadedSAE, site: Site, changes: ModelChanges, normalised: bool, model: LanguageModel) -> Placement:
    mean_unseen = _mean_is_unseen(model, site.layer)
    centred = View(centred=changes.centred and mean_unseen)
    notes: tuple[str, ...] = ()
    if site.hook_point is HookPoint.MLP_IN:
        source = _normalised(model, site) if normalised else View()
        target = source
        if not loaded.sae.centres_input:
            factor = model.locate(Site(site.layer, HookPoint.MLP_OUT)).factor
            target = View(factor=factor) if factor != 1.0 else centred
    elif (factor := model.locate(site).factor) != 1.0:
        source = target = View(factor=factor)
    else:
        source = target = centred
        notes = _notes(loaded, changes, mean_unseen)
    return Placement(site, source, target, notes)


def _notes(loaded: LoadedSAE, changes: ModelChanges, mean_unseen: bool) -> tuple[str, ...]:
    """A warning where SAELens may have centred the stream: its early trainings did, and did not record it."""
    if changes.stated or not mean_unseen or loaded.layout != "saelens" or "sae_lens_version" in loaded.metadata:
        return ()
    return (
        "The configuration is older than SAELens 6 and does not say whether the model's weights were centred: the SAE was "
        "evaluated on the model's own stream. Where the FVU is bad, try "
        '"model_from_pretrained_kwargs": {"center_writing_weights": true} in its cfg.json.',
    )


def _named(loaded: LoadedSAE, *, asked: bool) -> NamedSite | None:
    """The site in the metadata: by the hook's name, or else by the name of the module in transformers."""
    facts, transcodes = loaded.metadata, not loaded.sae.centres_input
    hook, module = (name if isinstance(name := facts.get(key), str) else None for key in ("hook_name", "hf_hook_name"))
    try:
        found = read_site_name(hook or module or "", transcodes=transcodes)
    except InvalidInput:
        # SAELens calls the input of Gemma Scope 2's transcoders hook_mlp_in; their module's name is right.
        found = read_site_name(module, transcodes=transcodes) if hook and module else None
        if found is None or found.site.hook_point is not HookPoint.MLP_IN:
            if asked:
                return None
            raise
    if found is not None and found.normalised and "saetui" in facts:
        # Older versions of saetui wrote this name for the MLP's input, which is called mlp.hook_in now.
        return NamedSite(found.name, found.site)
    return found


def _site(
    loaded: LoadedSAE, directory: Path, named: NamedSite | None, layer: int | None, hook_point: str | None
) -> Site:
    known = [point.value for point in HookPoint]
    point = HookPoint(hook_point) if hook_point else named.site.hook_point if named else None
    transcodes = not loaded.sae.centres_input
    if transcodes and point is None:
        point = HookPoint.MLP_IN
    number = layer if layer is not None else named.site.layer if named else None
    if number is None or point is None:
        names = (loaded.metadata.get(key) for key in ("hook_name", "hf_hook_name"))
        name = next((name for name in names if isinstance(name, str)), None)
        what = f"names the site {name!r}, which is none of saetui's" if name else "does not say its site"
        raise InvalidInput(
            f"The SAE in {directory} {what}.", f"Give --layer and --hook-point (one of {', '.join(known)})."
        )
    if transcodes and point is not HookPoint.MLP_IN:
        raise InvalidInput(
            f"The transcoder in {directory} would read {point.value}; a transcoder reads mlp_in.",
            "Give --hook-point mlp_in.",
        )
    return Site(number, point)


def _target(loaded: LoadedSAE, site: Site, named: NamedSite | None) -> NamedSite | None:
    """The target in a transcoder's metadata (None: none there, or no transcoder). It must be the `mlp_out` of the layer read."""
    if loaded.sae.centres_input:
        return None
    name = loaded.metadata.get("hook_name_out") or loaded.metadata.get("hf_hook_name_out")
    if not isinstance(name, str):
        if named is None or named.part is None or named.side != "input":
            return None
        # sparsify's transcoder predicts the output of the module that it reads the input of.
        return replace(named, site=Site(site.layer, HookPoint.MLP_OUT), side="output")
    found = read_site_name(name)
    elsewhere = found is not None and named is not None and found.site.layer != named.site.layer
    if found is None or found.site.hook_point is not HookPoint.MLP_OUT or elsewhere:
        raise InvalidInput(
            f"The transcoder predicts {name}; saetui judges transcoders that predict the mlp_out of the layer they read.",
            "Judge it with the tool that made it.",
        )
    return found


def _normalised(model: LanguageModel, site: Site) -> View:
    """The norm's output before its weight and bias. Where the weight is 0, it cannot be computed from the MLP's input."""
    name, norm = norm_before(model, site)
    weight, bias = weight_and_bias(norm, model.d_model)
    smallest = int(weight.abs().argmin())
    if float(weight.abs()[smallest]) < _SMALLEST * float(weight.abs().max()):
        raise InvalidInput(
            f"The SAE reads {name} before its weight, which is {float(weight[smallest]):.1e} at coordinate {smallest}: that "
            "coordinate cannot be computed from the MLP's input.",
            "An SAE of the MLP's input itself (mlp.hook_in) can be judged.",
        )
    return View(weight=weight, bias=bias)


def _mean_is_unseen(model: LanguageModel, layer: int) -> bool:
    """Whether the layer's norms subtract the mean over the width, so that centring the stream changes no prediction.

    TransformerLens centres only then. Where some norms do and some do not, its behaviour is not known.
    """
    if layer >= len(model.layers):
        return False  # the look-up of the site reports this
    norms = stream_norms(model, layer)
    return bool(norms) and all(takes_mean_away(norm, model.d_model) for norm in norms)
