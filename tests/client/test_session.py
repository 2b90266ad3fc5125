"""The conversation with the supervisor, byte by byte and without a socket."""

from __future__ import annotations

import msgspec
import pytest

from saetui.client.session import ConnectionLost, Session
from saetui.errors import Busy, Conflict, ProtocolError, SupervisorError
from saetui.jobs.preferences import Preferences
from saetui.protocol.framing import TO_CLIENT_LIMIT, TO_SUPERVISOR_LIMIT, FrameDecoder, encode, from_client
from saetui.protocol.messages import (
    Done,
    Event,
    Failure,
    GetJobs,
    Goodbye,
    Hello,
    ManyJobs,
    PauseJobs,
    PreferencesChanged,
    Reply,
    Snapshot,
    Subscribe,
    Welcome,
)


def sent(*messages: msgspec.Struct) -> bytes:
    return b"".join(encode(message, TO_CLIENT_LIMIT) for message in messages)


def welcome(version: int = 2) -> Welcome:
    return Welcome(version=version, saetui="0.1.0", pid=7)


def change(seq: int) -> Event:
    return Event(seq, PreferencesChanged(Preferences()))


def greeted(version: int = 2) -> Session:
    session = Session("test")
    session.receive(sent(welcome(version)))
    return session


def following(seq: int) -> Session:
    session = greeted()
    session.count_from(Snapshot(seq=seq, jobs=(), templates=()))
    return session


def test_the_first_bytes_greet_and_the_answer_says_who_is_there() -> None:
    session = Session("test")
    (payload,) = FrameDecoder(TO_SUPERVISOR_LIMIT).feed(session.greeting)
    hello = from_client(payload)
    assert isinstance(hello, Hello) and hello.client == "test" and not session.greeted
    content = sent(welcome())
    for byte in content[:-1]:
        session.receive(bytes([byte]))
    assert not session.greeted
    session.receive(content[-1:])
    assert session.greeted and session.welcome.pid == 7


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Failure(kind="busy", message="Too many.", suggestion="Wait."), Busy),
        (Failure(kind="protocol", message="Too old.", suggestion="Update."), ProtocolError),
        (Goodbye(reason="It stops."), SupervisorError),
        (Reply(id=1, result=Done()), ProtocolError),
    ],
)
def test_a_greeting_that_is_refused_ends_the_session_with_the_reason(
    answer: msgspec.Struct, error: type[Exception]
) -> None:
    session = Session("test")
    session.receive(sent(answer))
    session.receive(b"")
    assert session.greeted
    with pytest.raises(error):
        _ = session.welcome


def test_answers_find_their_requests_in_any_order() -> None:
    session = greeted()
    jobs, missing, late = session.ask(GetJobs()), session.ask(PauseJobs(("a",))), session.ask(GetJobs())
    assert len({jobs.number, missing.number, late.number}) == 3
    refusal = Failure(id=missing.number, kind="conflict", message="It has ended.", suggestion=None)
    session.receive(sent(refusal, Reply(id=jobs.number, result=ManyJobs(()))))
    assert jobs.answered and missing.answered and not late.answered
    assert jobs.answer().jobs == ()
    with pytest.raises(Conflict, match="It has ended"):
        missing.answer()
    session.forget(late)
    session.receive(sent(Reply(id=late.number, result=ManyJobs(()))))
    assert not late.answered


def test_an_answer_of_another_type_is_an_error() -> None:
    session = greeted()
    question = session.ask(GetJobs())
    session.receive(sent(Reply(id=question.number, result=Done())))
    with pytest.raises(ProtocolError, match="GetJobs was answered by Done"):
        question.answer()


def test_an_older_supervisor_is_not_asked_for_what_it_does_not_know() -> None:
    session = greeted(version=1)
    with pytest.raises(ProtocolError, match="older"):
        session.ask(PauseJobs(("a",)))
    assert not session.ask(GetJobs()).answered


def test_changes_arrive_in_order_and_a_gap_asks_for_a_new_snapshot() -> None:
    session = following(4)
    session.receive(sent(change(4), change(5), change(6), change(8), change(9)))
    assert session.next_change() == change(5) and session.next_change() == change(6)
    assert session.next_change() is None, "7 is missing"
    session.count_from(Snapshot(seq=9, jobs=(), templates=()))
    assert not session.has_news
    session.receive(sent(change(10)))
    assert session.has_news and session.next_change() == change(10)


def test_changes_before_the_snapshot_are_in_it_already() -> None:
    session = greeted()
    question = session.ask(Subscribe())
    snapshot = Snapshot(seq=2, jobs=(), templates=())
    session.receive(sent(change(1), change(2), Reply(id=question.number, result=snapshot), change(3)))
    session.count_from(question.answer())
    assert session.next_change() == change(3) and not session.has_news


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ConnectionLost),
        (b"\xff\xff\xff\xff", ProtocolError),
        (sent(Goodbye(reason="It stops.")), SupervisorError),
        (sent(Failure(kind="protocol", message="Not understood.", suggestion=None)), ProtocolError),
    ],
)
def test_the_end_answers_every_question_and_comes_after_the_changes_that_arrived(
    data: bytes, error: type[Exception]
) -> None:
    session = following(0)
    question = session.ask(GetJobs())
    session.receive(sent(change(1)))
    session.receive(data)
    assert question.answered and session.next_change() == change(1) and session.has_news
    for act in (question.answer, session.next_change, lambda: session.ask(GetJobs())):
        with pytest.raises(error):
            act()


def test_the_first_reason_of_an_end_stays() -> None:
    session = greeted()
    session.receive(sent(Goodbye(reason="It stops.")))
    session.receive(b"")
    session.lose()
    assert "It stops." in str(session.end)
