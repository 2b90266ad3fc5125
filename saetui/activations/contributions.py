"""What attention and MLP add to the residual stream, proven by one pass over a few tokens."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from saetui.activations.hooks import hook_inputs, hook_outputs
from saetui.activations.sites import HookPoint
from saetui.activations.structure import contribution_names, mlp_input_names, text_config
from saetui.errors import ModelError

__all__ = ["Contribution", "NotAdded", "Proof", "prove_contributions"]

_POINTS = (HookPoint.ATTN_OUT, HookPoint.MLP_OUT)
_TOKENS = 8
_ROUNDING = 8
"""Two sums of a few terms are equal when no element differs by more than this many roundings of its terms."""
_SMALLEST_FACTOR = 1e-3
"""Smaller numbers in a layer are the epsilons of its norms."""


@dataclass(frozen=True)
class Contribution:
    """The output of the module at `path` in the layer, times `factor`, is added to the residual stream."""

    path: str
    factor: float


@dataclass(frozen=True)
class NotAdded:
    """No module's output is what is added; `reason` is a clause for a sentence."""

    reason: str


Proof = Mapping[HookPoint, "Contribution | NotAdded"]
"""Of one layer, for `mlp_in`, `attn_out` and `mlp_out`, as far as the layer has them; at `mlp_in` an input with factor 1."""


@dataclass
class _Seen:
    """What passed through one layer: the inputs and outputs of its parts, by their paths, each (tokens, d)."""

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


class _LastLayerSeen(Exception):
    """Ends a forward pass from within; never leaves this module."""


def prove_contributions(
    network: PreTrainedModel, layers: nn.ModuleList, special_ids: Collection[int], reference: str
) -> list[Proof]:
    """For each loaded layer whether its `attn_out` and `mlp_out` are what it adds to the residual stream.

    Families differ in what they do to a part's output before they add it (a norm, a factor, another part
    beside it), and new ones come with each version of transformers: so the sums themselves are compared.

    Raises:
        ModelError: the model cannot be run.
    """
    ids = [token for token in range(int(text_config(network).vocab_size)) if token not in special_ids][:_TOKENS]
    tokens = torch.tensor([ids], device=next(network.parameters()).device)
    proven: dict[int, Proof] = {}

    def layer_ended(index: int, seen: _Seen, _output: object) -> None:
        proven[index] = _prove(layers[index], seen)
        if index == len(layers) - 1:
            raise _LastLayerSeen

    body: nn.Module = network.base_model
    with torch.no_grad(), ExitStack() as stack:
        for index, layer in enumerate(layers):
            seen = stack.enter_context(_watched(layer, len(ids)))
            stack.enter_context(hook_outputs(layer, partial(layer_ended, index, seen)))
        try:
            body(input_ids=tokens)
        except _LastLayerSeen:
            return [proven.get(index, {}) for index in range(len(layers))]
        except (torch.OutOfMemoryError, MemoryError):
            raise
        # What a family raises that needs more than tokens (an image, another model's states) is of any type.
        except Exception as error:
            raise ModelError(
                f"{reference} cannot be run on tokens alone: {type(error).__name__}: {' '.join(str(error).split())}",
                "Choose a model that reads text alone.",
            ) from error
    raise ModelError(
        f"{reference} ran through {len(proven)} of its {len(layers)} layers.",
        "Its structure is not understood; choose resid_pre or resid_post, or another model.",
    )


@contextmanager
def _watched(layer: nn.Module, tokens: int) -> Iterator[_Seen]:
    """Keeps copies of what passes through a layer's parts, of those tensors that have a row for each token."""
    seen = _Seen()

    def keep(where: dict[str, Tensor], path: str, value: object) -> None:
        first = value[0] if isinstance(value, tuple | list) and value else value
        if isinstance(first, Tensor) and first.is_floating_point() and first.numel() == tokens * first.shape[-1]:
            where.setdefault(path, first.detach().reshape(tokens, -1).clone())

    with ExitStack() as stack:
        for path, part in layer.named_modules():
            stack.enter_context(hook_inputs(part, partial(keep, seen.inputs, path)))
            stack.enter_context(hook_outputs(part, partial(keep, seen.outputs, path)))
        yield seen


def _prove(layer: nn.Module, seen: _Seen) -> Proof:
    taken = next((path for path in mlp_input_names(layer) if path in seen.inputs), None)
    proof: dict[HookPoint, Contribution | NotAdded] = {}
    if taken is not None:
        proof[HookPoint.MLP_IN] = Contribution(taken, 1.0)
    before, after = seen.inputs.get(""), seen.outputs.get("")
    candidates = {point: found for point in _POINTS if (found := _candidates(layer, seen, point))}
    if not candidates:
        return proof
    if before is None or after is None:
        return proof | {point: NotAdded("the layer does not pass one row for each token") for point in candidates}
    factors = (1.0, *_numbers(layer))
    for chosen in product(*(product(factors, paths) for paths in candidates.values())):
        if _is_sum(after, before, *(factor * seen.outputs[path] for factor, path in chosen)):
            return proof | {point: Contribution(path, factor) for point, (factor, path) in zip(candidates, chosen)}
    # They are not all that the layer adds, or it norms the stream after each addition. Then each is looked for
    # by itself, in what goes into a norm: the attention beside the layer's input, the MLP beside its own.
    reason = _deviation(before, after, {point: seen.outputs[paths[0]] for point, paths in candidates.items()})
    for point, paths in candidates.items():
        stream = before if point is HookPoint.ATTN_OUT else seen.inputs.get(taken or "")
        proven = (
            Contribution(path, factor)
            for factor, path in product(factors, paths)
            if stream is not None
            and any(_is_sum(total, stream, factor * seen.outputs[path]) for total in (*seen.inputs.values(), after))
        )
        proof[point] = next(proven, NotAdded(reason))
    return proof


def _candidates(layer: nn.Module, seen: _Seen, point: HookPoint) -> list[str]:
    """The modules whose output may be what is added: first what families call so, then what runs behind that part."""
    named = [path for path in contribution_names(layer, point) if path in seen.outputs]
    if not named:
        return []
    order = list(seen.outputs)
    children = [path for path in order[order.index(named[-1]) + 1 :] if path and "." not in path]
    return list(dict.fromkeys([*named, *children]))


def _deviation(before: Tensor, after: Tensor, found: Mapping[HookPoint, Tensor]) -> str:
    added = after.double() - before.double()
    rest = added.clone()
    for value in found.values():
        if value.shape == rest.shape:
            rest -= value.double()
    share = float(rest.norm() / added.norm())
    names = " + ".join(point.value for point in found) or "nothing that saetui found"
    return f"on {len(before)} tokens resid_post - resid_pre differs from {names} by {100 * share:.0f} %"


def _numbers(layer: nn.Module) -> list[float]:
    """The numbers that a layer holds by name, as Granite's `residual_multiplier`; and by which it may divide, as ESM-C."""
    held = {float(value) for value in vars(layer).values() if isinstance(value, float | int)}
    usable = {number for number in held if math.isfinite(number) and number >= _SMALLEST_FACTOR and number != 1}
    return [*sorted(usable), *sorted(1 / number for number in usable)]


def _is_sum(total: Tensor, *terms: Tensor) -> bool:
    """Whether a tensor is the sum of others, up to the rounding of their precision."""
    if any(term.shape != total.shape for term in terms):
        return False
    difference = total.double()
    size = difference.abs()
    for term in terms:
        difference = difference - term.double()
        size = size + term.double().abs()
    return bool((difference.abs() <= _ROUNDING * torch.finfo(total.dtype).eps * size).all())
