"""Trainers that start in a moment: forked from a process that has torch loaded already.

Loading torch and transformers takes several seconds, many times what a tiny run takes. Each trainer is still a process
of its own, with its own signals, environment and end; only what it loads was loaded before. That a trainer started
the way the runner starts it works too is what tests/integration shows.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO

from saetui import failpoints

PR_SET_PDEATHSIG = 1


class Trainer:
    """One forked trainer, with as much of Popen as tests use."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        if self.returncode is None:
            self.returncode = self._zygote.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 180.0) -> int:
        """Its exit code, as soon as it has ended."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"trainer {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """A signal to it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM: the wish to stop."""
        self.send_signal(signal.SIGTERM)


class Zygote:
    """The process that trainers are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Of no test's home: who ends a home's processes must not end this one.
            env={name: value for name, value in os.environ.items() if name != "SAETUI_HOME"} | {"OMP_NUM_THREADS": "1"},
        )
        atexit.register(self._process.kill)

    def start(self, directory: Path, log: Path, environment: Mapping[str, str]) -> Trainer:
        """A trainer of the run in `directory`, with `environment` on top of the zygote's own."""
        pid = self.ask({"directory": str(directory), "log": str(log), "environment": dict(environment)})
        assert pid is not None
        return Trainer(self, pid)

    def ask(self, question: dict[str, object]) -> int | None:
        """One line there, one line back."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None and answered is not None
        asked.write(json.dumps(question) + "\n")
        asked.flush()
        answer: int | None = json.loads(answered.readline())
        return answer


@lru_cache(maxsize=1)
def zygote() -> Zygote:
    """The one of this test process."""
    return Zygote()


def _serve(questions: IO[str]) -> None:
    # What a first run loads lazily is loaded once, before any fork.
    import transformers  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401
    from transformers.models.gpt2 import modeling_gpt2  # noqa: F401

    import saetui.training.job

    assert saetui.training.job
    # As the runner does: a trainer that is not ready for its signal yet must not die of it.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ended: dict[int, int] = {}
    for line in questions:
        question = json.loads(line)
        if "poll" in question:
            pid = question["poll"]
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(pid)
        else:
            answer = os.fork()
            if answer == 0:
                _train(question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _train(question: dict[str, object]) -> None:
    """The forked child: what `python -m saetui.training DIRECTORY` does, and never back."""
    code = 1
    # Ends with the zygote, which ends with its test process: nothing is left behind by a test that failed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        environment = question["environment"]
        assert isinstance(environment, dict)
        os.environ.update(environment)
        # They were read from the zygote's own environment.
        importlib.reload(failpoints)
        log = os.open(str(question["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["saetui.training", str(question["directory"])]
        from saetui.training.__main__ import main

        code = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.stdin)
