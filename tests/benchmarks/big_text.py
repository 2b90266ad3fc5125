"""`python -m tests.benchmarks.big_text`: tokenises a text file far larger than what it may hold in memory.

The file is made of the standard library's source, with its words changed from copy to copy, and deleted afterwards. Told
are the time of each stage, the peak of the resident set above what loading the libraries took, and what opening the
finished cache again costs.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from saetui.activations import TokenProgress, open_model, prepare_tokens
from saetui.bundled import stdlib_files

MIB = 2**20


def write_text(path: Path, size: int) -> None:
    """At least `size` bytes of source text, no two copies of a file alike."""
    copy = 0
    with path.open("wb") as out:
        while out.tell() < size:
            for file in stdlib_files():
                out.write(file.read_bytes().replace(b"self", b"self%d" % copy))
            copy += 1


def peak() -> float:
    """The largest resident set so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident(kind: str) -> float:
    """What is resident now of a kind that /proc/self/status names, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(kind)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2048)
    size = parser.parse_args().megabytes * MIB
    model = open_model("bundled:tiny", device="cpu", last_layer=0)
    stages: dict[str, tuple[float, float]] = {}

    def note(step: TokenProgress) -> None:
        first, _ = stages.get(step.stage, (time.monotonic(), 0.0))
        stages[step.stage] = (first, time.monotonic())

    with tempfile.TemporaryDirectory(prefix="saetui-big-text-") as place:
        source, cache = Path(place) / "big.txt", Path(place) / "cache"
        write_text(source, size)
        before = peak()
        data = prepare_tokens(str(source), model.tokenizer, context_length=128, cache_directory=cache, progress=note)
        for stage, (first, last) in stages.items():
            print(f"{stage:<12} {last - first:8.1f} s   {source.stat().st_size / MIB / (last - first):8.1f} MiB/s")
        print(
            f"peak memory  {peak() - before:8.0f} MiB above the {before:.0f} MiB of the libraries, until the cache is made"
        )
        began = time.monotonic()
        print(
            f"tokens       {data.train_tokens + data.held_out_tokens:,} (counted in {time.monotonic() - began:.1f} s)"
        )
        own, mapped = resident("RssAnon"), resident("RssFile")
        print(
            f"then         {own:8.0f} MiB of its own resident, and {mapped:.0f} MiB of mapped files, which the kernel may drop"
        )
        began = time.monotonic()
        assert prepare_tokens(str(source), model.tokenizer, context_length=128, cache_directory=cache).cached
        print(f"opened again in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
