"""`saetui doctor`: each finding, and what it says to do."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pty
import struct
import subprocess
import sys
import termios
from importlib import metadata
from pathlib import Path

import pytest

from saetui.cli.checks.finding import Verdict
from saetui.cli.checks.home import check_home
from saetui.home import Home
from tests.cli.conftest import Saetui


def test_this_machine_is_looked_at_and_has_no_problem_but_what_is_really_missing(saetui: Saetui) -> None:
    outcome = saetui("doctor", "--json")
    findings = {finding["subject"]: finding for finding in outcome.document}
    assert {
        "python",
        "torch",
        "memory",
        "home",
        "disk",
        "clock",
        "hub",
        "supervisor",
        "socket",
        "logout",
        "limits",
        "terminal",
    } <= set(findings)
    has_torch = importlib.util.find_spec("torch") is not None
    assert findings["torch"]["verdict"] == ("good" if has_torch else "problem")
    assert findings["supervisor"]["verdict"] == "good"
    assert outcome.code == (0 if has_torch else 1)
    assert all(finding["suggestion"] for finding in outcome.document if finding["verdict"] != "good")


def test_the_constraints_fit_the_torch_that_is_here(saetui: Saetui) -> None:
    outcome = saetui("doctor", "--constraints")
    if importlib.util.find_spec("torch") is None:
        assert outcome.code == 1 and outcome.out == "" and "torch is not installed" in outcome.err
        return
    lines = outcome.out.splitlines()
    assert lines[0] == f"torch=={metadata.version('torch')}"
    assert [line.partition(">=")[0] for line in lines[1:]] == ["transformers", "safetensors", "numpy"]
    assert saetui("doctor", "--constraints", "--json").document == lines


def test_what_lies_beside_the_jobs_is_named_with_what_to_do(saetui: Saetui, home: Home) -> None:
    home.make()
    (home.runs / "my notes").mkdir()
    (home.runs / "abcdefgh").mkdir()
    (home.runs / os.fsdecode(b"caf\xe9\x1b[2J")).write_text("")
    (home.runs / ".abcdefgj.new").symlink_to("/nowhere")
    found = [finding for finding in saetui("doctor", "--json").document if finding["subject"] == "runs"]
    said = {finding["message"]: finding["suggestion"] for finding in found}
    assert len(said) == 4 and all(finding["verdict"] == "warning" for finding in found)
    assert f"mv '{home.runs}/my notes'" in said[f"{home.runs}/my notes is a directory that saetui did not make."]
    assert (
        f"rm -r {home.runs}/abcdefgh"
        in said[f"{home.runs}/abcdefgh has the name of a job, and the supervisor knows no such job."]
    )
    printed = saetui("doctor").out
    assert "my notes" in printed and "caf\\xe9" in printed and "\x1b[2J" not in printed
    assert sorted(path.name for path in home.runs.iterdir())[0] == ".abcdefgj.new"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (found,) = check_home(Home(tmp_path / "home"))
    assert found.verdict is Verdict.PROBLEM


def test_a_home_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    (found,) = check_home(Home(tmp_path / "home"))
    assert found.verdict is Verdict.PROBLEM
    assert found.suggestion


def test_a_home_that_others_can_read_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    home.root.chmod(0o755)
    found = next(iter(check_home(home)))
    assert found.verdict is Verdict.WARNING
    assert "chmod 700" in (found.suggestion or "")


def test_on_a_terminal_each_line_fits_and_is_aligned(home: Home) -> None:
    home.make()
    (home.runs / ("a directory of " + "a very long name " * 8)).mkdir()
    printed = on_terminal([sys.executable, "-m", "saetui", "doctor"], columns=80)
    lines = [line.rstrip() for line in printed.splitlines()]
    # A path stays whole, so that it can be copied.
    assert all(len(line) <= 80 or any(len(word) > 55 for word in line.split()) for line in lines), printed
    assert any(70 < len(line) <= 80 for line in lines), printed
    *findings, empty, last = lines
    assert empty == "" and ("warning" in last or "problem" in last)
    heads = [line for line in findings if line[:1] in "✓!✗"]
    assert {line[:9].strip() for line in heads} <= {"✓ good", "! warning", "✗ problem"}
    # Every message begins in the same column, and so does what follows beneath it.
    assert all(line[21:23] == "  " and line[23] != " " for line in heads)
    assert all(line.startswith(" " * 23) for line in findings if line not in heads)


def on_terminal(command: list[str], columns: int) -> str:
    """What a command prints on a terminal of this width, without colours."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns)}
    process = subprocess.Popen(command, stdin=writing, stdout=writing, stderr=subprocess.DEVNULL, env=environment)
    os.close(writing)
    parts = []
    with contextlib.suppress(OSError), open(reading, "rb") as terminal:
        # The kernel says EIO once nobody holds the other end.
        while part := terminal.read1(4096):
            parts.append(part)
    process.wait()
    return b"".join(parts).decode()
