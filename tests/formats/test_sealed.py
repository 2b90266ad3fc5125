from __future__ import annotations

import json
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui import runner
from saetui.formats.sealed import check_seal, decode_sealed, seal
from saetui.jobs.job import DesiredState
from saetui.rundir.control import Control


class Thing(msgspec.Struct, frozen=True):
    name: str
    number: float = 0.0


SEALED = seal(msgspec.json.encode(Thing("a thing", 0.5)))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())), st.sampled_from([None, 1, 2]))
def test_what_is_sealed_is_json_and_sound(content: dict[str, object], indent: int | None) -> None:
    sealed = seal(json.dumps(content, indent=indent).encode())
    assert check_seal(sealed)
    assert {**json.loads(sealed), "crc": content.get("crc")} == {**content, "crc": content.get("crc")}


def test_a_sealed_object_is_what_was_written() -> None:
    assert decode_sealed(SEALED, Thing) == Thing("a thing", 0.5)


def test_an_object_of_an_older_saetui_has_no_seal_and_is_read() -> None:
    assert decode_sealed(b'{"name":"old"}', Thing) == Thing("old")


def test_an_object_without_a_seal_keeps_the_names_that_its_members_have_in_files() -> None:
    assert decode_sealed(b'{"wish":"pause","checkpoints":1}', Control).desired_state is DesiredState.PAUSE


def test_cut_at_any_byte_filled_with_zeros_or_empty_it_is_refused() -> None:
    for cut in range(len(SEALED)):
        for content in (SEALED[:cut], SEALED[:cut] + bytes(len(SEALED) - cut)):
            with pytest.raises(msgspec.DecodeError):
                decode_sealed(content, Thing)


def test_no_flipped_bit_is_read_as_a_value() -> None:
    for position in range(len(SEALED)):
        for bit in range(8):
            damaged = SEALED[:position] + bytes([SEALED[position] ^ 1 << bit]) + SEALED[position + 1 :]
            with pytest.raises(msgspec.DecodeError):
                decode_sealed(damaged, Thing)


def test_rubbish_is_refused_and_nothing_else_happens() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        with pytest.raises(msgspec.DecodeError):
            decode_sealed(rng.randbytes(rng.randrange(60)) + rng.choice([b"", SEALED[-17:]]), Thing)
    with pytest.raises(msgspec.DecodeError):
        decode_sealed(b"[" * 100_000, Thing)


def test_the_runner_seals_as_everyone_else_does() -> None:
    assert vars(runner)["seal"] is seal
