"""What the reading of a file gives, piece by piece, so that a file may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["NO_TOKENS", "PIECE", "BadRow", "Note", "Piece", "Tokens", "document", "in_pieces"]

Tokens = npt.NDArray[np.int64]

PIECE = 2**18
"""Characters, or bytes, that are read or handed on at a time."""
NO_TOKENS: Tokens = np.empty(0, np.int64)
_LINE = 4 * PIECE
"""Characters without a line break, of which a document is cut at a space."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a document; a long one comes in several, of which the last one ends it.

    Attributes:
        text: to be tokenised.
        ends_document: whether it is the last part.
        tokens: (n,) int64 of a document that came tokenised, instead of text.
        dressed: whether the document brings its own tokens for beginning and end.
    """

    text: str = ""
    ends_document: bool = True
    tokens: Tokens = field(default_factory=lambda: NO_TOKENS)
    dressed: bool = False


@dataclass(frozen=True)
class BadRow:
    """A row (or an optional file) that holds no usable text; the reason names the file and the place in it."""

    reason: str


@dataclass(frozen=True)
class Note:
    """How rows were taken that are no plain text: to be told once."""

    sentence: str


def in_pieces(parts: Iterable[str], *, dressed: bool = False) -> Iterator[Piece]:
    """Cuts a document that comes in parts, so that no more of it is tokenised at a time than fits into memory."""
    rest = ""
    for part in parts:
        text = rest + part
        cut = text.rfind("\n") + 1
        if not cut and len(text) > _LINE:
            # Tokens mostly begin with the space before a word.
            cut = max(text.rfind(" "), 0) or len(text)
        # Blank stretches are no text: a file of them alone must be refused, not trained on.
        if cut and not text[:cut].isspace():
            yield Piece(text[:cut], ends_document=False, dressed=dressed)
        rest = text[cut:]
    # The empty piece still ends the document whose text has all been handed out.
    yield Piece("" if rest.isspace() else rest, dressed=dressed)


def document(text: str, *, dressed: bool = False) -> Iterator[Piece]:
    """A document that is in memory as a whole, without a copy of it."""
    if len(text) <= PIECE:
        yield Piece(text, dressed=dressed)
    else:
        yield from in_pieces((text[start : start + PIECE] for start in range(0, len(text), PIECE)), dressed=dressed)
