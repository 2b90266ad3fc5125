"""What all sparse autoencoders share: parameters, their start, and the hooks that a training step calls.

Symbols as in the papers: x (B, d_in), W_enc (d_in, F), W_dec (F, d_out), n_i = ‖W_dec[i]‖,
h = (x − b_dec)·W_enc + b_enc, z = f(h) ≥ 0, x̂ = z·W_dec + b_dec. All in normalised units (normalization.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from saetui.errors import InvalidInput
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.dense import row_blocks
from saetui.sae.kernels.weights import KernelOptions, Weights
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.options import Option, Options, Sizes, read_options

Centre = Literal["mean", "geometric_median"]
Path = Literal["auto", "dense", "sparse"]

ENCODER_START = 0.1
"""Norm of W_enc's columns at the start. At 1 the first x̂ of a ReLU is many times as long as x, and the first steps and Adam's
moments are spent on undoing that. Measured on the bundled model (1,000 steps of 512 tokens, 1,024 latents; FVU, L0): gated .050,
89 instead of .068, 89; jumprelu .052, 73 instead of .061, 101; standard .059, 95 instead of .063, 122; topk at k = 8 .180
instead of .182. A step towards what SAELens does, which starts both sides at 0.1."""


class WholeBatch(NamedTuple):
    """What a micro-batch must know of the batch that it is a part of, for its gradient to be that of the whole.

    Attributes:
        residual_mean_square: mean over tokens and coordinates of (x − x̂)², shape (), by which AuxK is divided.
        floor: what an activation must exceed to be among those that the batch keeps, shape ().
        tokens: of the whole batch; 0 where nothing depends on it.
    """

    residual_mean_square: Tensor | None = None
    floor: Tensor | None = None
    tokens: int = 0


class BatchContext(NamedTuple):
    """What the loss of a batch depends on beside its tokens: the arguments of `SparseAutoencoder.loss`."""

    sparsity_coefficient: float = 0.0
    dead: DeadSet | None = None
    whole_batch: WholeBatch | None = None
    path: Path = "auto"


class SparseAutoencoder(nn.Module, ABC):
    """A sparse autoencoder (or a transcoder, whose input and target differ, in width too).

    A new architecture is one file: a subclass with `encode` and `losses`, its options, and a line in registry.py. Its own
    parameters are made in `make_parameters` after those of the base, in float32. What must hold after each step of the
    optimiser (a threshold kept ≥ 0) is restored in `after_step`.

    Attributes:
        architecture: its name.
        centres_input: whether b_dec is subtracted from x before the encoder (not in transcoders).
        options_type: the type of its options.
        options: those that it was built with, and the defaults.
        compute_dtype: dtype of the dense products, None for that of the weights. Weights, losses and gradients
            stay float32.
    """

    architecture: ClassVar[str]
    centres_input: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = Options
    options: Options

    W_enc: nn.Parameter
    W_dec: nn.Parameter
    b_enc: nn.Parameter
    b_dec: nn.Parameter

    def __init__(self, d_in: int, d_out: int, latents: int, generator: torch.Generator, **options: Option) -> None:
        """A new SAE on the CPU.

        Args:
            d_in: width of the input.
            d_out: width of the target.
            latents: F.
            generator: on the CPU, so that one seed gives one SAE on every device.
            options: the fields of `options_type`.

        Raises:
            InvalidInput: a size below 1, an option that is unknown, missing or invalid.
        """
        super().__init__()
        sizes = Sizes(d_in, d_out, latents)
        for name, size in zip(sizes._fields, sizes, strict=True):
            if size < 1:
                raise InvalidInput(f"{name} is {size}.", "It must be at least 1.")
        self.d_in, self.d_out, self.latents = sizes
        self.options = read_options(self.architecture, self.options_type, sizes, options)
        self.compute_dtype: torch.dtype | None = None
        self.make_parameters(generator)

    def make_parameters(self, generator: torch.Generator) -> None:
        """Random unit rows in W_dec, W_enc = W_decᵀ·`ENCODER_START`, biases 0; see `initialise_bias`."""
        rows = torch.randn(self.latents, self.d_out, generator=generator)
        self.W_dec = nn.Parameter(rows / rows.norm(dim=1, keepdim=True))
        self.b_enc = nn.Parameter(torch.zeros(self.latents))
        self.b_dec = nn.Parameter(torch.zeros(self.d_out))
        self.make_encoder(generator)

    def make_encoder(self, generator: torch.Generator) -> None:
        """W_enc, where the encoder has weights of its own."""
        if self.centres_input and self.d_in == self.d_out:
            columns = self.W_dec.detach().t().contiguous()
        else:
            # Between two spaces a transpose means nothing: random columns.
            columns = torch.randn(self.d_in, self.latents, generator=generator)
            columns /= columns.norm(dim=0, keepdim=True)
        self.W_enc = nn.Parameter(columns * ENCODER_START)

    @property
    def encoder_weight(self) -> Tensor:
        """W_enc, or the transposed decoder where the weights are tied: shape (d_in, F)."""
        return self.W_enc

    @property
    def encoder_bias(self) -> Tensor:
        """What is added to (x − b_dec)·W_enc to make h: shape (F,)."""
        return self.b_enc

    @property
    def rate_factors(self) -> dict[str, float]:
        """The learning rate of a parameter as a multiple of the run's, by name; 1 for all that are not named."""
        return {}

    @property
    def finished_state(self) -> dict[str, Tensor]:
        """The tensors by which the SAE is used once it is trained, by name: what an export writes."""
        return dict(self.state_dict())

    @property
    def description(self) -> dict[str, Option]:
        """Architecture, sizes and options, from which `build_from` makes the same SAE. JSON."""
        sizes = {"d_in": self.d_in, "d_out": self.d_out, "latents": self.latents}
        return {"architecture": self.architecture, **sizes, **self.options.description}

    def weights(self) -> Weights:
        """What the kernels take: the parameters themselves, and how to compute with them."""
        options = KernelOptions(self.centres_input, self.options.firing_threshold, self.compute_dtype)
        return Weights(self.encoder_weight, self.encoder_bias, self.W_dec, self.b_dec, self.decoder_norms(), options)

    def initialise_bias(self, tokens: Tensor, method: Centre = "mean", *, inputs: Tensor | None = None) -> None:
        """Sets b_dec to the centre of the first tokens (of the target, in a transcoder).

        Without it most latents die: the offset that all tokens share drives them one way.

        Args:
            tokens: normalised, shape (n, d_out).
            method: the mean, or the geometric median, which a few huge tokens do not move.
            inputs: the inputs of the same tokens, shape (n, d_in), in a transcoder: b_enc then takes their offset away.

        Raises:
            InvalidInput: no tokens, or an unknown method.
        """
        with torch.no_grad():
            self.b_dec.copy_(_centre_of(tokens, method).to(self.b_dec))
            if inputs is not None and not self.centres_input:
                self.b_enc.copy_(-(_centre_of(inputs, method).to(self.b_enc) @ self.encoder_weight))

    def pre_activations(self, x: Tensor) -> Tensor:
        """h for x (B, d_in): shape (B, F), differentiable in everything, x included."""
        centred = x - self.b_dec if self.centres_input else x
        return torch.addmm(self.encoder_bias, centred, self.encoder_weight)

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""

    def decode(self, z: Tensor) -> Tensor:
        """x̂ for z (B, F): shape (B, d_out)."""
        return torch.addmm(self.b_dec, z, self.W_dec)

    def forward(self, x: Tensor) -> Tensor:
        """x̂ for x (B, d_in): shape (B, d_out)."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """`forward` without gradients, a block of rows at a time: the codes of all rows never exist at once."""
        x_hat = x.new_empty(x.shape[0], self.d_out)
        for rows in row_blocks(x, self.latents):
            x_hat[rows] = self(x[rows])
        return x_hat

    def goal(self, x: Tensor, target: Tensor | None) -> Tensor:
        """What z·W_dec + b_dec is to predict, shape (B, d_out): the target, and where there is none x itself.

        Raises:
            InvalidInput: a transcoder without a target: nothing is ever compared with x by default.
        """
        if target is None and not self.centres_input:
            raise InvalidInput(f"{self.architecture} was given no target.", "Pass its target, the MLP's output.")
        return x if target is None else target

    def loss(
        self,
        x: Tensor,
        target: Tensor | None = None,
        *,
        sparsity_coefficient: float = 0.0,
        dead: DeadSet | None = None,
        whole_batch: WholeBatch | None = None,
        path: Path = "auto",
    ) -> Losses:
        """The loss of one batch; every term a mean over tokens; differentiable in the parameters, not in x.

        Args:
            x: normalised activations, shape (B, d_in).
            target: what is to be predicted, shape (B, d_out); None for x itself.
            sparsity_coefficient: of the sparsity penalty, warm-up included; architectures without a penalty ignore it.
            dead: the latents that are dead, for the architecture's own means against it; None while there are none.
            whole_batch: facts of the batch that x is a micro-batch of; None where x is all of it.
            path: which products to use; "auto" chooses by density. The result is the same.

        Raises:
            InvalidInput: a target that the architecture cannot have, or none where it needs one.
        """
        return self.losses(x, self.goal(x, target), BatchContext(sparsity_coefficient, dead, whole_batch, path))

    @abstractmethod
    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """The terms of `loss`, where z·W_dec + b_dec is to predict y, shape (B, d_out)."""

    def measure(self, x: Tensor, target: Tensor | None = None, *, sparsity_coefficient: float = 0.0) -> Losses:
        """`loss` without gradients, for evaluation."""
        with torch.no_grad():
            return self.loss(x, target, sparsity_coefficient=sparsity_coefficient)

    def batch_floor(self, parts: Sequence[Tensor]) -> Tensor | None:
        """What an activation must exceed to be kept in a batch, shape (); None where each token selects for itself.

        Args:
            parts: the micro-batches of x, each of shape (n, d_in).
        """
        del parts
        return None

    def needs_batch_residual(self, dead: DeadSet | None) -> bool:
        """Whether the loss of a micro-batch needs `WholeBatch.residual_mean_square`, while these latents are dead."""
        del dead
        return False

    def observe(self, statistics: BatchStatistics) -> None:
        """Called after the backward pass: keeps what must outlast the batch; nothing, for most architectures."""
        del statistics

    def before_step(self) -> None:
        """Called before the gradient is clipped: removes its part along unit rows, which so stay unit to first order."""
        if self.options.decoder_norm == "unit" and self.W_dec.grad is not None:
            with torch.no_grad():
                rows, gradient = self.W_dec, self.W_dec.grad
                gradient.addcmul_(rows, (gradient * rows).sum(1, keepdim=True), value=-1.0)

    def after_step(self) -> None:
        """Called after the optimiser's step: makes unit rows exactly so again."""
        if self.options.decoder_norm == "unit":
            with torch.no_grad():
                self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp_min_(1e-12))

    def resampled_values(self, living: Tensor, share: float) -> dict[str, Tensor | float]:
        """What a resampled latent gets in each of the encoder's parameters of shape (F,), by name.

        Args:
            living: which latents are not resampled, bool, shape (F,); all of them where none is alive.
            share: of a living latent's encoder norm that a resampled one gets.
        """
        del living, share
        return {"b_enc": 0.0}

    def decoder_norms(self) -> Tensor | None:
        """n_i, shape (F,), differentiable; None with `decoder_norm: unit`, where all are 1."""
        return None if self.options.decoder_norm == "unit" else self.W_dec.norm(dim=1)


def _centre_of(tokens: Tensor, method: Centre) -> Tensor:
    """The mean or geometric median of tokens (n, d): shape (d,), float64."""
    if tokens.shape[0] == 0:
        raise InvalidInput("There are no tokens to compute a centre from.", "Give at least one batch.")
    if method == "mean":
        return tokens.to(torch.float64).mean(0)
    if method == "geometric_median":
        return _geometric_median(tokens)
    raise InvalidInput(f"The centre {method!r} is unknown.", "Choose mean or geometric_median.")


def _geometric_median(tokens: Tensor, iterations: int = 100, tolerance: float = 1e-6) -> Tensor:
    """The point with the least sum of distances to tokens (n, d), by Weiszfeld's iteration: shape (d,), float64."""
    points = tokens.to(torch.float64)
    centre = points.mean(0)
    for _ in range(iterations):
        weights = (points - centre).norm(dim=1).clamp_min(1e-12).reciprocal()
        moved = (weights[:, None] * points).sum(0) / weights.sum()
        shift = (moved - centre).norm()
        centre = moved
        if shift <= tolerance * centre.norm().clamp_min(1e-12):
            break
    return centre
