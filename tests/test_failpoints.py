from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import saetui
from saetui import failpoints
from saetui.failpoints import POINTS, VARIABLE, cut, hit, parse
from tests.conditions import eventually


def switched(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(failpoints, "_active", parse(text))


def run(program: str, value: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"from saetui.failpoints import hit\n{program}"],
        env={**os.environ, VARIABLE: value},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_the_variable_nothing_happens_anywhere() -> None:
    assert failpoints._active is None
    for point in POINTS:
        hit(point)
    assert cut("metrics.append", b"abc") == b"abc"


def test_every_point_is_passed_somewhere_and_every_place_has_a_point() -> None:
    found: set[str] = set()
    for path in Path(saetui.__file__).parent.rglob("*.py"):
        if path.name == "failpoints.py":
            continue
        source = path.read_text()
        found |= set(re.findall(r'\b(?:hit|cut)\("([a-z.]+)"', source))
        found |= {f"{prefix}.append" for prefix in re.findall(r'\bappend_whole\(.*\bpoint="([a-z.]+)"', source)}
        source = re.sub(r"\bappend_whole\(.*", "", source)
        for prefix in re.findall(r'\bpoint(?:: str)? ?= ?"([a-z.]+)"', source):
            found |= {f"{prefix}.{step}" for step in ("write", "fsync", "rename", "directory")}
    assert found == POINTS


def test_a_failure_comes_at_the_hit_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    switched(monkeypatch, "store.rename=enospc@3; metrics.fsync=eio@2+ ;events.append=out_of_memory")
    hit("store.rename")
    hit("store.rename")
    with pytest.raises(OSError) as caught:
        hit("store.rename")
    assert caught.value.errno == errno.ENOSPC
    hit("store.rename")
    hit("metrics.fsync")
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            hit("metrics.fsync")
    with pytest.raises(MemoryError):
        hit("events.append")


def test_a_token_makes_it_happen_once_over_all_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for _ in range(2):
        switched(monkeypatch, f"store.rename=eio!{tmp_path / 'token'}")
        if not (tmp_path / "token").exists():
            with pytest.raises(OSError):
                hit("store.rename")
        hit("store.rename")


def test_a_short_write_takes_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    switched(monkeypatch, "metrics.append=short:2@1")
    assert [cut("metrics.append", b"abc") for _ in range(2)] == [b"ab", b"abc"]


def test_a_kill_is_a_kill() -> None:
    process = run("hit('launch.spawn'); hit('launch.spawn'); print('lives')", "launch.spawn=kill@2")
    assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGKILL


def test_a_hold_says_that_it_was_reached_and_waits(tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = run("hit('launch.spawn'); print('on')", f"launch.spawn=hold:{go}")
    eventually((tmp_path / "go.reached").exists)
    assert process.poll() is None
    go.touch()
    assert process.communicate()[0] == "on\n"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("store.rename", "is not POINT=ACTION"),
        ("store.renam=kill", "there is no point store.renam"),
        ("store.rename=explode", "there is no action explode"),
        ("store.rename=kill:3", "kill takes no argument"),
        ("store.rename=delay", "delay takes an argument"),
        ("store.rename=delay:long", "is no number of seconds"),
        ("metrics.append=short:x", "is no number of bytes"),
        ("store.rename=kill@0", "counted from 1"),
    ],
)
def test_what_is_no_failpoint_is_a_clear_error_that_names_it(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(f"metrics.append=delay:0.5;{value}")


def test_a_process_with_a_malformed_value_ends_with_one_line() -> None:
    process = run("print('lives')", "nothing=kill")
    out, error = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert error.startswith(f"{VARIABLE}: 'nothing=kill'") and error.count("\n") == 1
