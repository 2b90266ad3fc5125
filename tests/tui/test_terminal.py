"""The TUI in a real terminal: what travels over the wire, and what happens when the line is gone."""

from __future__ import annotations

import re
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from saetui.child_processes import child_environment
from saetui.client.blocking import ask
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import GetJobs
from tests.conditions import eventually
from tests.supervisor.conftest import Machine, machine
from tests.tui.real_terminal import Terminal

__all__ = ["machine"]

PROGRAM = "from saetui.home import find_home; from saetui.tui.session import run; raise SystemExit(run(find_home()))"
SHELL = "import os; os.execvp('bash', ['bash', '--noprofile', '--norc', '-i'])"
ESCAPES = re.compile(r"\x1b\[[0-9;?<>=]*[a-zA-Z]")
LEFT = b"\x1b[?1049l"
"""The terminal shows what was there before the screens."""
BYTES_A_SECOND = 2000
IDLE_BYTES_A_SECOND = 100


def open_tui(machine: Machine, *, program: str = PROGRAM, controlling: bool = True) -> Terminal:
    """The TUI on a machine's supervisor."""
    return Terminal(["-c", program], child_environment(machine.home), controlling=controlling)


@pytest.fixture
def terminal(machine: Machine) -> Iterator[Terminal]:
    machine.start()
    machine.submit(name="on-the-wire")
    opened = open_tui(machine)
    yield opened
    opened.close()
    running = [job.id for job in _jobs(machine) if not job.status.ended]
    machine.stop(*running)
    for job in running:
        machine.until(job, Status.STOPPED)


def _jobs(machine: Machine) -> tuple[Job, ...]:
    return ask(GetJobs(), machine.home, start=False).jobs


def after(seen: bytes, mark: bytes) -> bytes:
    """What came after the last mark; nothing where the mark never came."""
    _, found, rest = seen.rpartition(mark)
    return rest if found else b""


def has_charts(seen: bytes) -> bool:
    return b"on-the-wire" in seen and any(letter in seen.decode("utf-8", "replace") for letter in "⠁⠂⠄⡀⢀⣀⠈")


@pytest.mark.slow
def test_live_charts_keep_within_the_bytes_of_a_slow_line(terminal: Terminal) -> None:
    terminal.read_until(has_charts)
    terminal.read_for(1.0)
    assert terminal.read_for(3.0) < 3.0 * BYTES_A_SECOND


@pytest.mark.slow
def test_nothing_is_sent_while_nothing_changes(terminal: Terminal, machine: Machine) -> None:
    terminal.read_until(has_charts)
    (job,) = _jobs(machine)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)
    terminal.read_until(lambda seen: b"stopped" in seen)
    terminal.read_for(3.0)  # its charts are read once more
    assert terminal.read_for(2.0) < 2.0 * IDLE_BYTES_A_SECOND


def test_leaving_says_that_jobs_go_on(terminal: Terminal, machine: Machine) -> None:
    terminal.read_until(has_charts)
    terminal.press(b"q")
    terminal.read_until(lambda seen: b"1 job running (on-the-wire): the training goes on" in seen)
    assert eventually(lambda: terminal.process.poll() is not None)
    (job,) = _jobs(machine)
    assert job.status is Status.RUNNING


def test_a_terminal_that_hangs_up_ends_the_tui_and_not_the_job(terminal: Terminal, machine: Machine) -> None:
    terminal.read_until(has_charts)
    terminal.hang_up()
    assert eventually(lambda: terminal.process.poll() is not None)
    (job,) = _jobs(machine)
    assert job.status is Status.RUNNING


def test_a_dead_terminal_is_noticed_even_where_no_signal_comes(machine: Machine) -> None:
    """A session of its own without a controlling terminal gets no SIGHUP: only the input ends."""
    machine.start()
    terminal = open_tui(machine, controlling=False)
    terminal.read_until(lambda seen: b"train the demo" in seen)
    terminal.hang_up()
    assert eventually(lambda: terminal.process.poll() is not None)


@pytest.mark.parametrize("how", [b"\x1a", b":suspend\r"], ids=["key", "palette"])
def test_the_shell_is_a_key_away_and_fg_brings_the_screens_back(machine: Machine, how: bytes) -> None:
    """With a real shell's job control. The form keeps ctrl+z for its undo; there the palette suspends."""
    machine.start()
    shell = Terminal(["-c", SHELL], {**child_environment(machine.home), "PS1": "shell$ "})
    shell.read_until(lambda seen: b"shell$ " in seen)
    shell.press(f"{sys.executable} -c '{PROGRAM}'\n".encode())
    shell.read_until(lambda seen: b"train the demo" in seen)
    shell.press(how)
    shell.read_until(lambda seen: b"shell$ " in after(seen, LEFT))
    assert shell.seen.rfind(b"\x1b[?25h") > shell.seen.rfind(b"\x1b[?25l")
    shell.press(b"echo a$((40 + 2))b\n")
    shell.read_until(lambda seen: b"a42b" in seen)
    shell.press(b"fg\n")
    shell.read_until(lambda seen: b"train the demo" in after(seen, b"a42b"))
    shell.press(b"q")
    shell.read_until(lambda seen: b"No job is running" in seen)
    shell.press(b"exit\n")
    shell.read_until(lambda _: shell.process.poll() is not None)
    shell.close()


EDITOR = (
    "import json, sys; p = sys.argv[1]; s = json.load(open(p)); {change}; json.dump(s, open(p, 'w')); print('edited')"
)


def test_the_form_goes_through_the_users_editor_and_back(machine: Machine) -> None:
    machine.start()
    script = machine.home.root / "edit.py"
    script.write_text(EDITOR.format(change="s['hyperparameters']['k'] = 27"))
    editor = {"VISUAL": f"{sys.executable} {script}"}
    terminal = Terminal(["-c", PROGRAM], {**child_environment(machine.home), **editor})
    terminal.read_until(lambda seen: b"train the demo" in seen)
    terminal.press(b"n")
    terminal.read_until(lambda seen: b"ready" in seen)
    terminal.press(b"\x1b[18~")  # F7
    terminal.read_until(lambda seen: b"edited" in after(seen, LEFT) and b"27" in after(seen, b"edited"))
    assert b"from the editor" in terminal.seen
    script.write_text(EDITOR.format(change="s['hyperparameters']['colour'] = 3"))
    terminal.press(b"\x1b[18~")
    terminal.read_until(lambda seen: b"colour: is not a known field" in seen)
    terminal.press(b"n")
    script.write_text("raise SystemExit(3)")
    terminal.press(b"\x1b[18~")
    terminal.read_until(lambda seen: b"exit code 3" in seen)
    assert b"The form is as it was" in terminal.seen
    terminal.close()


FAULTS = {
    "a key": "SaetuiApp.action_help = lambda self: 1 / 0",
    "a worker": "SaetuiApp.action_help = lambda self: self.run_worker(lambda: 1 / 0, thread=True)",
    "the start": "SaetuiApp.get_default_screen = lambda self: 1 / 0",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_prints_one_line_and_leaves_the_terminal_as_it_was(machine: Machine, fault: str) -> None:
    machine.start()
    terminal = open_tui(machine, program=f"from saetui.tui.app import SaetuiApp; {fault}; {PROGRAM}")
    settings = termios.tcgetattr(terminal.master)
    if "action_help" in fault:
        terminal.read_until(lambda seen: b"train the demo" in seen)
        terminal.press(b"?")
    terminal.read_until(lambda _: terminal.process.poll() is not None)
    terminal.read_for(0.2)
    after_screens = after(terminal.seen, LEFT).decode()
    (said,) = [line for line in ESCAPES.sub("", after_screens).splitlines() if line.strip()]
    (file,) = machine.home.crashes.iterdir()
    assert said.startswith("saetui: a fault of the screens ended them (")
    assert "division by zero" in said
    assert str(file) in said
    assert "Traceback (most recent call last)" in file.read_text()
    assert "ZeroDivisionError" in file.read_text()
    assert terminal.process.poll() == 1
    assert termios.tcgetattr(terminal.master) == settings
    assert terminal.seen.rfind(b"\x1b[?25h") > terminal.seen.rfind(b"\x1b[?25l")
    terminal.close()


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_can_show_nothing_is_told_of_the_command_line(machine: Machine, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**child_environment(machine.home), "TERM": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "saetui jobs" in done.stderr
    assert not machine.mine()
