"""What attention and MLP add to the residual stream, proven by one forward pass over a few tokens."""

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
from saetui.display.figures import percent
from saetui.errors import ModelError

_POINTS = (HookPoint.ATTN_OUT, HookPoint.MLP_OUT)
_TOKENS = 8
_ROUNDING = 8
"""Two sums of a few terms count as equal when no element differs by more than this many roundings of its terms."""
_SMALLEST_FACTOR = 1e-3
"""Smaller numbers in a layer are epsilons of its norms, not factors."""


@dataclass(frozen=True)
class Contribution:
    """The output of the module at `path` in the layer, times `factor`, is added to the residual stream."""

    path: str
    factor: float


@dataclass(frozen=True)
class NotAdded:
    """No module's output is what the layer adds; `reason` is a clause for a sentence."""

    reason: str


Proof = Mapping[HookPoint, "Contribution | NotAdded"]
"""For those of `mlp_in`, `attn_out` and `mlp_out` that a layer has. At `mlp_in` the module's input, with factor 1."""


@dataclass
class _Seen:
    """The inputs and outputs of a layer's parts in one pass, by the parts' paths, each (tokens, d)."""

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


class _LastLayerSeen(Exception):
    """Ends a forward pass from within. This module catches it."""


def prove_contributions(
    network: PreTrainedModel, layers: nn.ModuleList, special_ids: Collection[int], reference: str
) -> list[Proof]:
    """For each loaded layer, whether its `attn_out` and `mlp_out` are what it adds to the residual stream.

    Families change a part's output in different ways before they add it (a norm, a factor, another part beside it), and each
    version of transformers brings new families. So the sums themselves are compared.

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
        # A family that needs more than tokens (an image, another model's states) may raise any type of error.
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
    """Keep copies of the inputs and outputs of a layer's parts that have a row for each token."""
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
    # The layer adds something else too, or norms the stream after each addition. Then each part is searched by itself
    # in the inputs of norms: the attention added to the layer's input, the MLP added to its own input.
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
    """The modules whose output may be added: first those with the families' names, then those that run after them."""
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
    return f"on {len(before)} tokens resid_post - resid_pre differs from {names} by {percent(share)}"


def _numbers(layer: nn.Module) -> list[float]:
    """The numbers that a layer holds by name, such as Granite's `residual_multiplier`, and their inverses (ESM-C divides)."""
    held = {float(value) for value in vars(layer).values() if isinstance(value, float | int)}
    usable = {number for number in held if math.isfinite(number) and number >= _SMALLEST_FACTOR and number != 1}
    return [*sorted(usable), *sorted(1 / number for number in usable)]


def _is_sum(total: Tensor, *terms: Tensor) -> bool:
    """Whether a tensor is the sum of others, up to rounding."""
    if any(term.shape != total.shape for term in terms):
        return False
    difference = total.double()
    size = difference.abs()
    for term in terms:
        difference = difference - term.double()
        size = size + term.double().abs()
    return bool((difference.abs() <= _ROUNDING * torch.finfo(total.dtype).eps * size).all())
