from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saetui.errors import Conflict, HomeError, ModelError, ProtocolError, SaetuiError
from saetui.protocol.framing import (
    TO_SUPERVISOR_LIMIT,
    FrameDecoder,
    encode,
    error_of,
    failure_of,
    frame,
    from_client,
    from_supervisor,
    request_id,
)
from saetui.protocol.messages import Failure, GetJob, GetJobs, Hello, StopJobs, Submit
from saetui.spec.problems import Problem, SpecError

LIMIT = 1000


@given(payloads=st.lists(st.binary(min_size=1, max_size=300)), cuts=st.lists(st.integers(1, 50)))
def test_payloads_come_out_whole_and_in_order_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload, LIMIT) for payload in payloads)
    decoder = FrameDecoder(LIMIT)
    received: list[bytes] = []
    for cut in [*cuts, len(stream) + 1]:
        received += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert received == payloads
    assert decoder.pending == 0


@settings(max_examples=500)
@given(chunks=st.lists(st.binary(max_size=200), max_size=8))
def test_rubbish_gives_payloads_or_a_protocol_error_and_nothing_else(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(LIMIT)
    try:
        for chunk in chunks:
            for payload in decoder.feed(chunk):
                assert 0 < len(payload) <= LIMIT
                from_client(payload)
        decoder.finish()
    except ProtocolError as error:
        assert error.message and error.suggestion


MESSAGES = [
    Hello(client="c", job="j"),
    GetJob("demo", id=1),
    StopJobs(("a", "b"), id=2),
    Submit({"model": "m", "layers": [1, 2], "hyperparameters": {"k": 32}}, id=3),
]


@settings(max_examples=400)
@given(
    message=st.sampled_from(MESSAGES),
    damages=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 10_000),
)
def test_a_damaged_message_is_a_message_or_a_protocol_error_and_nothing_else(
    message: Hello | GetJob | StopJobs | Submit, damages: list[tuple[int, int]], cut: int
) -> None:
    payload = bytearray(encode(message, TO_SUPERVISOR_LIMIT)[4:])
    for place, value in damages:
        payload[place % len(payload)] = value
    content = bytes(payload[: cut % len(payload) + 1])
    for decode in (from_client, from_supervisor):
        try:
            decode(content)
        except ProtocolError as error:
            assert error.message and error.suggestion
    request_id(content)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(tag=st.sampled_from(["hello", "submit", "get_job", "stop_jobs", "restore_template", "nothing", 3]), fields=_JSON)
def test_json_that_is_no_message_gives_a_protocol_error(tag: object, fields: object) -> None:
    import json

    payload = json.dumps({"type": tag, "fields": fields, "id": fields, "spec": fields, "job": fields}).encode()
    try:
        message = from_client(payload)
    except ProtocolError:
        return
    assert type(message).__struct_config__.tag == tag


@pytest.mark.parametrize("length", [0, LIMIT + 1, 2**32 - 1])
def test_a_wrong_length_is_refused_before_anything_of_that_size_is_kept(length: int) -> None:
    with pytest.raises(ProtocolError, match=str(length)):
        FrameDecoder(LIMIT).feed(length.to_bytes(4, "big") + b"x")


def test_a_half_frame_at_the_end_is_an_error() -> None:
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(frame(b"{}", LIMIT)[:-1]) == []
    with pytest.raises(ProtocolError, match="middle of a frame"):
        decoder.finish()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"submit","spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"submit","spec":{"a":NaN}}',
        b'{"type":"submit","spec":{"a":1e999}}',
        b'{"type":"submit","spec":{"a":"\xff"}}',
        b'{"type":"unheard_of"}',
        b'{"type":"get_job"}',
        b"[]",
        b"\x00",
    ],
)
def test_what_is_not_a_message_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        from_client(payload)


@pytest.mark.parametrize("message", [Hello(client="test"), GetJobs(id=4), GetJob("demo"), StopJobs(("a", "b"), id=7)])
def test_a_message_comes_back_as_it_was_sent(message: Hello | GetJobs | GetJob | StopJobs) -> None:
    (payload,) = FrameDecoder(LIMIT).feed(encode(message, LIMIT))
    assert from_client(payload) == message


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_refused_by_its_field_instead_of_lost(number: float) -> None:
    with pytest.raises(SpecError, match="l1_alpha") as caught:
        encode(Submit({"hyperparameters": {"l1_alpha": number}}), TO_SUPERVISOR_LIMIT)
    assert caught.value.problems[0].field == "hyperparameters.l1_alpha"


def test_what_json_cannot_say_is_a_protocol_error() -> None:
    for value in ("\ud800", object()):
        with pytest.raises(ProtocolError):
            encode(Submit({"name": value}), TO_SUPERVISOR_LIMIT)


def test_a_message_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="1048576"):
        encode(Submit({"name": "x" * TO_SUPERVISOR_LIMIT}), TO_SUPERVISOR_LIMIT)


def test_the_id_of_a_request_that_is_wrong_otherwise_is_still_found() -> None:
    assert request_id(b'{"type":"get_job","id":12}') == 12
    assert request_id(b'{"id":"twelve"}') is None
    assert request_id(b"rubbish") is None


@pytest.mark.parametrize("error_type", [Conflict, HomeError, ModelError])
def test_an_error_keeps_its_kind_and_its_way_out_across_the_socket(error_type: type[SaetuiError]) -> None:
    arrived = error_of(failure_of(error_type("The thing is wrong.", "Do that."), 3))
    assert type(arrived) is error_type
    assert (arrived.message, arrived.suggestion) == ("The thing is wrong.", "Do that.")


def test_all_problems_of_a_spec_arrive() -> None:
    problems = (Problem(field="layers", message="9 is too high."), Problem(field="seed", message="is wrong."))
    arrived = error_of(failure_of(SpecError(problems)))
    assert isinstance(arrived, SpecError)
    assert arrived.problems == problems


def test_a_kind_of_a_later_version_is_still_an_error_to_show() -> None:
    arrived = error_of(Failure(kind="not_yet_known", message="Something."))
    assert type(arrived) is SaetuiError and arrived.message == "Something."
