from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec

from saetui.launch.identity import boot_id, identify, lives_without_handler, open_process, send_if_caught, send_signal


def test_a_process_is_its_pid_its_start_and_its_boot() -> None:
    mine = identify(os.getpid())
    assert mine is not None and mine.boot == boot_id()
    descriptor = open_process(mine)
    assert descriptor is not None
    os.close(descriptor)


def test_a_pid_that_now_belongs_to_another_process_is_never_signalled() -> None:
    mine = identify(os.getpid())
    assert mine is not None
    for other in (msgspec.structs.replace(mine, start=mine.start - 1), msgspec.structs.replace(mine, boot="another")):
        assert open_process(other) is None
        assert not send_signal(other, signal.SIGKILL)


def test_an_ended_process_is_nobody_even_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    who = identify(child.pid)
    assert who is not None
    assert send_signal(who, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identify(child.pid) is None and open_process(who) is None
    child.communicate()
    assert not send_signal(who, signal.SIGTERM)


def test_a_process_that_does_not_wait_for_a_signal_does_not_die_of_it() -> None:
    program = (
        "import os, signal\n"
        "print(input(), flush=True)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'heard\\n'))\n"
        "print('waits', flush=True)\n"
        "input()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    who = identify(child.pid)
    assert who is not None and lives_without_handler(who, signal.SIGUSR1)
    send_if_caught(who, signal.SIGUSR1)
    child.stdin.write("lives\n")
    child.stdin.flush()
    assert [child.stdout.readline() for _ in range(2)] == ["lives\n", "waits\n"]
    assert not lives_without_handler(who, signal.SIGUSR1)
    send_if_caught(who, signal.SIGUSR1)
    assert child.stdout.readline() == "heard\n"
    child.communicate("\n")
    assert child.returncode == 0 and not lives_without_handler(who, signal.SIGUSR1)
    send_if_caught(who, signal.SIGUSR1)
