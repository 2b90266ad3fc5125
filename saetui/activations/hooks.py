"""Hooks that read, and may replace, the activation in a module's input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from saetui.errors import ModelError

Visitor = Callable[[object], Tensor | None]
"""Takes an input or output, and returns a replacement, or None to leave it."""


def activation_of(value: object, name: str) -> Tensor:
    """The activation in a module's input or output: the value itself, or the first of a tuple.

    Raises:
        ModelError: the value is no tensor with a width.
    """
    found = value[0] if isinstance(value, tuple | list) and value else value
    if not isinstance(found, Tensor) or found.ndim < 2:
        raise ModelError(
            f"At {name} the model gives no activation but {type(found).__name__}.",
            "Its structure is not understood; choose another hook point or model.",
        )
    return found


@contextmanager
def hook_outputs(module: nn.Module, visit: Visitor) -> Iterator[None]:
    """Call `visit` with each output of the module, as long as the context lasts."""

    def hook(_module: nn.Module, _args: object, output: object) -> object:
        replacement = visit(output)
        if replacement is None:
            return None
        if isinstance(output, list):  # OpenAI GPT's layers
            return [replacement, *output[1:]]
        return (replacement, *output[1:]) if isinstance(output, tuple) else replacement

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def hook_inputs(module: nn.Module, visit: Visitor) -> Iterator[None]:
    """Call `visit` with each input of the module, as long as the context lasts."""

    def hook(
        _module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]] | None:
        # Some families pass the hidden states by position, others by name.
        name = None if args else next((key for key in ("hidden_states", "x", "input") if key in kwargs), None)
        replacement = visit(args[0] if args else kwargs.get(name or ""))
        if replacement is None:
            return None
        return ((replacement, *args[1:]), kwargs) if name is None else (args, {**kwargs, name: replacement})

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
