"""The options of an architecture: a frozen record beside its class, read by name from keyword arguments or a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, get_args

from saetui.errors import InvalidInput

if TYPE_CHECKING:
    from typing_extensions import Self

Option = bool | int | float | str | list[int] | tuple[int, ...] | None
DecoderNorm = Literal["unit", "free"]


class Sizes(NamedTuple):
    """Width of the input, width of the target, and F, the number of latents."""

    d_in: int
    d_out: int
    latents: int


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every architecture can be asked for; one with more options has a subclass.

    Attributes:
        decoder_norm: "unit" keeps the rows of W_dec at norm 1, "free" leaves them alone.
        firing_threshold: a latent fires on a token when its activation exceeds this.
    """

    decoder_norm: DecoderNorm = "unit"
    firing_threshold: float = 0.0

    def fitted(self, sizes: Sizes) -> Self:
        """The same options, checked, with the defaults that depend on the sizes filled in.

        Raises:
            InvalidInput: a value that cannot be, or that does not fit the sizes.
        """
        del sizes
        if self.decoder_norm not in get_args(DecoderNorm):
            raise InvalidInput(f"decoder_norm is {self.decoder_norm!r}.", "Choose unit or free.")
        return self

    @property
    def description(self) -> dict[str, Option]:
        """The options by name, as JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


OptionsT = TypeVar("OptionsT", bound=Options)


def read_options(architecture: str, kind: type[OptionsT], sizes: Sizes, given: Mapping[str, Option]) -> OptionsT:
    """The options of an architecture from values by name.

    Args:
        architecture: its name, for errors.
        kind: the type of its options.
        sizes: of the SAE.
        given: values by name; those that are not named have their defaults.

    Raises:
        InvalidInput: an unknown option, a missing one, or an invalid value.
    """
    known = {field.name: field for field in fields(kind)}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InvalidInput(
            f"{architecture} has no option {', '.join(unknown)}.", f"Its options are {', '.join(known)}."
        )
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        raise InvalidInput(f"{architecture} lacks the required option {', '.join(missing)}.", "Give it by name.")
    try:
        return kind(**given).fitted(sizes)  # type: ignore[arg-type]  # `fitted` checks the values
    except TypeError as wrong:
        values = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise InvalidInput(
            f"{architecture} cannot be built with {values}: {wrong}.", "Give each option a value of its type."
        ) from wrong
