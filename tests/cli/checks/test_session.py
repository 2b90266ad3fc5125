"""The terminal, the Hub's cache and token, the supervisor's version and its socket."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from saetui.cli.checks import supervisor
from saetui.cli.checks.finding import Finding, Verdict
from saetui.cli.checks.hub import check_hub
from saetui.cli.checks.supervisor import check_socket, check_supervisor
from saetui.cli.checks.terminal import check_terminal
from saetui.home import Home
from tests.cli.conftest import Saetui

GOOD, WARNING, PROBLEM = Verdict.GOOD, Verdict.WARNING, Verdict.PROBLEM


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


@pytest.mark.parametrize("kind", ["", "dumb"])
def test_a_terminal_that_cannot_show_the_screens(kind: str) -> None:
    (found,) = check_terminal({"TERM": kind}, "utf-8")
    assert found.verdict is WARNING


@pytest.mark.parametrize(("kind", "encoding"), [("xterm", "latin-1"), ("linux", "utf-8")])
def test_a_terminal_without_braille_is_told_and_ascii_offered(kind: str, encoding: str) -> None:
    found = by_subject(check_terminal({"TERM": kind}, encoding))["terminal"]
    assert found.verdict is WARNING and "saetui config set ascii_charts on" in (found.suggestion or "")


@pytest.mark.parametrize(
    ("environment", "verdict", "word"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, GOOD, "16.7 million"),
        ({"TERM": "xterm-256color"}, GOOD, "256"),
        ({"TERM": "xterm"}, WARNING, "Only 16"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, GOOD, "NO_COLOR"),
    ],
)
def test_the_colours_that_the_screens_will_have(environment: dict[str, str], verdict: Verdict, word: str) -> None:
    found = by_subject(check_terminal(environment, "utf-8"))["colours"]
    assert found.verdict is verdict and word in found.message


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a window in a tmux of its own."""
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux")
    base = ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "tmux")]
    subprocess.run([*base, "new-session", "-d", "sleep 600"], check=True, timeout=20)
    pid = subprocess.run(
        [*base, "display", "-p", "#{pid}"], check=True, timeout=20, capture_output=True, text=True
    ).stdout
    yield {"TERM": "tmux-256color", "TMUX": f"{tmp_path / 'tmux'},{pid.strip()},0"}
    subprocess.run([*base, "kill-server"], check=False, timeout=20)


def test_a_tmux_that_keeps_copies_is_told_until_it_passes_them_on(tmux: dict[str, str]) -> None:
    found = by_subject(check_terminal(tmux, "utf-8"))["clipboard"]
    assert found.verdict is WARNING and "set-clipboard external" in found.message and found.suggestion
    subprocess.run(found.suggestion.split(), check=True, timeout=20, env={**os.environ, **tmux})
    assert by_subject(check_terminal(tmux, "utf-8"))["clipboard"].verdict is GOOD


def test_a_tmux_that_does_not_answer_is_no_fault_of_the_doctor(tmp_path: Path) -> None:
    found = by_subject(check_terminal({"TERM": "tmux-256color", "TMUX": f"{tmp_path}/gone,1,0"}, "utf-8"))
    assert "set-clipboard unknown" in found["clipboard"].message


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the Hub's library that holds a model, and no token anywhere."""
    for name in (
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "hf/hub/models--openai-community--gpt2").mkdir(parents=True)
    return tmp_path / "hf"


def test_what_the_hubs_cache_holds_and_that_there_is_no_token(hub: Path) -> None:
    found = by_subject(check_hub())
    assert found["hub"].message == f"models: 1, datasets: 0, in {hub}/hub"
    assert found["token"].verdict is GOOD and "hf auth login" in found["token"].message


def test_a_cache_that_nobody_has_made_yet_is_good(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub / "not/yet"))
    assert by_subject(check_hub())["hub"].verdict is GOOD


def test_a_cache_where_nothing_can_be_written_is_told(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(hub / "file/hub"))
    found = by_subject(check_hub())["hub"]
    assert found.verdict is WARNING and "HF_HOME" in (found.suggestion or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_cache_of_somebody_else_is_told(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub / "closed/hub"))
    (hub / "closed").mkdir(mode=0o000)
    found = by_subject(check_hub())
    assert found["hub"].verdict is WARNING and "HF_HOME" in (found["hub"].suggestion or "")


def test_a_token_is_named_by_its_place_and_never_shown(
    hub: Path, saetui: Saetui, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hf_abcdefghijklmnop"
    (hub / "token").write_text(secret)
    (hub / "token").chmod(0o600)
    assert by_subject(check_hub())["token"].message == f"in {hub}/token"
    (hub / "token").chmod(0o644)
    open_to_all = by_subject(check_hub())["token"]
    assert open_to_all.verdict is WARNING and open_to_all.suggestion == f"chmod 600 {hub}/token"
    monkeypatch.setenv("HF_TOKEN", secret)
    printed = saetui("doctor", "--json")
    assert "in HF_TOKEN" in printed.out and secret not in printed.out + printed.err


def test_a_supervisor_of_another_version_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "__version__", "9.9.9")
    first, *_ = check_supervisor(home)
    assert first.verdict is WARNING and "and this is 9.9.9" in first.message
    assert (first.suggestion or "").startswith("saetui supervisor stop")


def test_a_socket_that_others_could_replace_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "sockets"
    monkeypatch.setattr("saetui.sockets._usual", lambda: directory)
    home = Home(tmp_path / "home")
    assert list(check_socket(home)) == []
    directory.mkdir(mode=0o700)
    assert [finding.verdict for finding in check_socket(home)] == [GOOD]
    directory.chmod(0o755)
    (found,) = check_socket(home)
    assert found.verdict is PROBLEM and f"chmod 700 {directory}" in (found.suggestion or "")
