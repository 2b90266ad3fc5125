"""Tokenises in a process of its own.

A tokenizer's threads fragment the allocator's memory, so that no tensor fits into the gaps: 40 MB of a process stay resident
after it has tokenised 0.6 MB of source code, 56 after 10 MB of it, and 240 after 1.4 MB of random numbers (glibc 2.36), even
when everything is freed. A trainer would keep them to its end.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, cast

from tokenizers import Tokenizer

from saetui.activations.documents import Reading
from saetui.activations.token_writer import Packing, Report, Written, write_contexts
from saetui.child_processes import tied_to
from saetui.errors import DatasetError, SaetuiError
from saetui.failpoints import hit
from saetui.sources.text_files import SourceFile


def write_contexts_in_process(
    out: BinaryIO, files: Sequence[SourceFile], tokenizer: Tokenizer, packing: Packing, reading: Reading, report: Report
) -> Written:
    """`write_contexts` in another process, which ends with its work or with this process. `out` must have a descriptor.

    Raises:
        DatasetError: a file cannot be read as text, or the other process was killed.
    """
    out.flush()
    command = [sys.executable, "-m", __name__, str(out.fileno()), str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(out.fileno(),)) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            # A broken pipe means that the process has ended, which is handled below. Closing writes the rest of the request.
            with suppress(BrokenPipeError), process.stdin:
                pickle.dump((files, tokenizer, packing, reading), process.stdin)
            return _follow(cast(BinaryIO, process.stdout), report)
        except (EOFError, pickle.UnpicklingError):
            status = process.wait()
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise DatasetError(
                f"The text is not tokenised: the process that does it {how}.",
                "It was killed, or the machine ran out of memory: free some and start again." if status < 0 else None,
            ) from None
        except BaseException:
            process.kill()
            raise


def _follow(answers: BinaryIO, report: Report) -> Written:
    """Report progress until the result comes. The other process runs this module, so its pickles can be trusted."""
    while True:
        answer = pickle.load(answers)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Written):
            return answer
        report(*answer)


def main() -> None:
    """Run the other process: a request on standard input, pickled answers on standard output."""
    descriptor, parent = (int(argument) for argument in sys.argv[1:])
    tied_to(parent)()
    # The process that asked decides what a signal means. This one ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Output of libraries must not mix with the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(message: object) -> None:
        pickle.dump(message, answers)
        answers.flush()

    files, tokenizer, packing, reading = pickle.load(sys.stdin.buffer)
    hit("tokenising.run")
    try:
        with os.fdopen(descriptor, "wb") as out:
            result: Written | Exception = write_contexts(
                out, files, tokenizer, packing, reading, lambda *now: answer(now)
            )
    except Exception as error:
        if not isinstance(error, (SaetuiError, OSError)):
            # A pickled error loses its traceback.
            traceback.print_exc()
        result = error
    answer(result)


if __name__ == "__main__":
    main()
