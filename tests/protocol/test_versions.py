from __future__ import annotations

import pytest

from saetui.errors import ProtocolError
from saetui.protocol.messages import OLDEST_VERSION, PROTOCOL_VERSION, Hello
from saetui.protocol.versions import negotiate


def test_the_newest_common_version_is_spoken() -> None:
    assert negotiate(Hello(client="test")) == PROTOCOL_VERSION
    assert negotiate(Hello(client="test", oldest=OLDEST_VERSION, newest=PROTOCOL_VERSION + 5)) == PROTOCOL_VERSION


def test_a_newer_client_is_told_to_stop_the_supervisor() -> None:
    with pytest.raises(ProtocolError) as caught:
        negotiate(Hello(client="test", oldest=PROTOCOL_VERSION + 1, newest=PROTOCOL_VERSION + 2))
    assert "saetui supervisor stop" in (caught.value.suggestion or "")


def test_an_older_client_is_told_that_it_is_older() -> None:
    with pytest.raises(ProtocolError) as caught:
        negotiate(Hello(client="test", oldest=0, newest=OLDEST_VERSION - 1))
    assert "older than the supervisor" in (caught.value.suggestion or "")
