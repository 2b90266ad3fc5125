"""The optimisers, and their state as flat tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from saetui.jobs.settings import Settings

SGD_MOMENTUM = 0.9


def build_optimizer(module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimiser of one SAE; fused, which is one pass over the weights instead of a dozen."""
    parameters = list(module.parameters())
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=SGD_MOMENTUM, weight_decay=decay, fused=True)
    return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Moments and counters by parameter, e.g. `W_enc.exp_avg`."""
    return {
        f"{name}.{moment}": value
        for name, parameter in module.named_parameters()
        for moment, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer_state(optimizer: torch.optim.Optimizer, module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Go back to what `optimizer_state` gave."""
    for name, parameter in module.named_parameters():
        prefix = f"{name}."
        moments = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if moments:
            optimizer.state[parameter] = moments
