"""Finds the environments that the peers are installed in (`make peers`): their code never enters ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def saelens_python() -> Path | None:
    """The Python that has SAELens, or None where it is not installed."""
    python = _ROOT / ".venv-peers" / "saelens" / "bin" / "python"
    installed = list((_ROOT / ".venv-peers" / "saelens" / "lib").glob("python3*/site-packages/sae_lens/__init__.py"))
    return python if python.exists() and installed else None


def run_saelens(script: str, *arguments: Path | str) -> str:
    """Runs a script of tests/peers with SAELens's Python and returns its output.

    Raises:
        AssertionError: it failed; its own words are the message.
    """
    python = saelens_python()
    assert python is not None, "SAELens is not installed: make peers"
    command = [str(python), str(Path(__file__).with_name(script)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
