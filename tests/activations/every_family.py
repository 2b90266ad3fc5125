"""`python -m tests.activations.every_family [FAMILY…]`: a table of all families of the installed transformers that can be made small.

Each is made with random weights, saved, and opened as a user's model is. What is compared: the residual stream
with the model's own hidden states at every layer, the model opened up to each layer with the whole one (activations
bit for bit, places, fingerprints), what attention and MLP contribute with what a layer adds, and the cross-entropy
with that of the model's own logits.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.activations.splice import Splice, cross_entropy
from saetui.errors import ModelError

from .families import VOCABULARY, make_tokenizer
from .small_models import LAYERS, all_families, save_small_model

TOKENS = torch.randint(3, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
STREAM = (HookPoint.RESID_PRE, HookPoint.RESID_POST)
PARTS = (HookPoint.ATTN_OUT, HookPoint.MLP_OUT)


class WrongError(AssertionError):
    """A family is read wrongly."""


def main(wanted: list[str]) -> int:
    tokenizer = make_tokenizer()
    wrong = 0
    print("| family | result |\n|---|---|")
    for family in wanted or all_families():
        with tempfile.TemporaryDirectory() as directory:
            result = describe(family, Path(directory), tokenizer)
        wrong += result.startswith("WRONG")
        print(f"| {family} | {result} |", flush=True)
    return int(wrong > 0)


def describe(family: str, directory: Path, tokenizer: PreTrainedTokenizerFast) -> str:
    """A line of the table: what is found of a family, why it is refused, or why it could not be made small."""
    try:
        save_small_model(family, directory, tokenizer)
    # The sizes are guessed by their names: what a configuration that they do not fit raises is of any type.
    except Exception as error:
        return f"not made small: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    try:
        return f"ok: {'; '.join(examine(directory))}"
    except ModelError as error:
        return f"refused: {error.message.replace(str(directory), 'it')[:240]}"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def examine(directory: Path) -> list[str]:
    """What a saved model offers.

    Raises:
        WrongError: something is read wrongly.
        ModelError: the model is refused.
    """
    whole = open_model(str(directory), device="cpu", dtype="float32")
    values = ActivationExtractor(whole, sites_of(whole))(TOKENS).values
    check_stream(whole, values)
    found = [contributions(whole, values)]
    for last in range(LAYERS):
        check_part(whole, last, values)
    found.append(predictions(whole))
    return found


def sites_of(model: LanguageModel) -> list[Site]:
    return [Site(layer, point) for layer in range(len(model.layers)) for point in model.hook_points(layer)]


def check_stream(model: LanguageModel, values: Mapping[str, Tensor]) -> None:
    """The residual stream is the model's own hidden states, which end behind the final norm."""
    with torch.no_grad():
        hidden = model.network(input_ids=TOKENS, output_hidden_states=True).hidden_states
    # Falcon Mamba's begin behind the first layer.
    first = int(torch.equal(values["layer_0.resid_post"], hidden[0]))
    wrong = [
        name
        for index, state in enumerate(hidden[:LAYERS], first)
        for name in (f"layer_{index}.resid_pre", f"layer_{index - 1}.resid_post")
        if name in values and not torch.equal(values[name], state)
    ]
    if wrong:
        raise WrongError(f"{', '.join(wrong)} differ from the hidden states")


def contributions(model: LanguageModel, values: Mapping[str, Tensor]) -> str:
    """What attention and MLP contribute is what a layer adds; or it is not offered."""
    kinds: dict[str, list[int]] = {}
    for layer in range(LAYERS):
        kinds.setdefault(_contributions_of(model, layer, values), []).append(layer)
    if len(kinds) == 1:
        return next(iter(kinds))
    return ", ".join(f"{kind} in {'/'.join(map(str, layers))}" for kind, layers in kinds.items())


def _contributions_of(model: LanguageModel, layer: int, values: Mapping[str, Tensor]) -> str:
    offered = [Site(layer, point) for point in PARTS if Site(layer, point).name in values]
    names = " and ".join(site.hook_point.value for site in offered) or "no contributions"
    if len(offered) < len(PARTS):
        return names if not offered else f"{names} alone"
    before, after = (values[Site(layer, point).name] for point in STREAM)
    parts = sum(values[site.name] for site in offered)
    if float((after - before - parts).norm() / (after - before).norm()) < 1e-4:
        factors = sorted({round(model.locate(site).factor, 3) for site in offered} - {1.0})
        return "adds up" + (f" with factors {factors}" if factors else "")
    if _norms_its_sums(model, layer):
        return "adds up before norms"
    raise WrongError(f"{names} of layer {layer} are not what it adds")


def _norms_its_sums(model: LanguageModel, layer: int) -> bool:
    """Whether what a layer returns has the mean and size that a norm gives, whatever goes in."""
    last = [part for part in model.layers[layer].modules() if "norm" in type(part).__name__.lower()][-1]
    outputs: list[Tensor] = []
    handle = last.register_forward_hook(
        lambda _module, _arguments, output: outputs.append(output[0] if isinstance(output, tuple) else output)
    )
    values = ActivationExtractor(model, [Site(layer, HookPoint.RESID_POST)])(TOKENS).values
    handle.remove()
    return torch.equal(next(iter(values.values())), outputs[0])


def check_part(whole: LanguageModel, last: int, values: Mapping[str, Tensor]) -> None:
    """Up to a layer the model is the whole one."""
    part = open_model(str(whole.directory), device="cpu", dtype="float32", last_layer=last)
    sites = [site for site in sites_of(whole) if site.layer <= last]
    if [site for site in sites_of(part) if site.layer <= last] != sites:
        raise WrongError(f"up to layer {last} it has other sites")
    if [part.locate(site) for site in sites] != [whole.locate(site) for site in sites]:
        raise WrongError(f"up to layer {last} its sites are elsewhere")
    found = ActivationExtractor(part, sites)(TOKENS).values
    if wrong := [name for name in found if not torch.equal(found[name], values[name])]:
        raise WrongError(f"up to layer {last} it has other activations at {', '.join(wrong)}")
    if part.fingerprint(last) != whole.fingerprint(last):
        raise WrongError(f"up to layer {last} it has another fingerprint")
    if part.num_layers != whole.num_layers:
        raise WrongError(f"up to layer {last} it says that it has {part.num_layers} layers")


def predictions(model: LanguageModel) -> str:
    """The cross-entropy is that of the model's own logits, splices act, and no token is told beforehand."""
    if not model.can_predict:
        return "does not predict"
    changed = TOKENS.clone()
    changed[:, -1] = 3 + (changed[:, -1] - 2) % (VOCABULARY - 3)
    with torch.no_grad():
        logits, other = (model.network(input_ids=tokens).logits for tokens in (TOKENS, changed))
    if not torch.allclose(logits[:, :-1], other[:, :-1], atol=1e-4):
        raise WrongError("it sees the tokens that it predicts")
    # What the first position predicts is not counted: nothing is ever put in its place.
    own = functional.cross_entropy(logits[:, 1:-1].flatten(0, 1), TOKENS[:, 2:].flatten(), reduction="sum")
    loss = cross_entropy(model, TOKENS)
    if abs(loss.total - float(own)) > 1e-4 * float(own):
        raise WrongError(f"its cross-entropy is {float(own)}, not {loss.total}")
    for site in (site for site in sites_of(model) if site.layer == 1):
        if cross_entropy(model, TOKENS, [Splice(site, lambda rows: rows)]) != loss:
            raise WrongError(f"{site.name} replaced by itself changes its predictions")
        if cross_entropy(model, TOKENS, [Splice(site, None)]) == loss:
            raise WrongError(f"{site.name} replaced by zeros changes nothing")
    return "predicts"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
