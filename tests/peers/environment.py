"""Finds the environments that the peers are installed in (`make peers`): their code never enters ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = {"saelens": "sae_lens", "sparsify": "sparsify", "dictionary_learning": "dictionary_learning"}


def peer_python(peer: str) -> Path | None:
    """The Python that has a peer (saelens, sparsify, dictionary_learning), or None where it is not installed."""
    environment = _ROOT / ".venv-peers" / peer
    python = environment / "bin" / "python"
    installed = list((environment / "lib").glob(f"python3*/site-packages/{_PACKAGES[peer]}/__init__.py"))
    return python if python.exists() and installed else None


def run_peer(peer: str, script: str, *arguments: Path | str) -> str:
    """Runs a script of tests/peers with a peer's Python and returns its output.

    Raises:
        AssertionError: it failed; its own words are the message.
    """
    python = peer_python(peer)
    assert python is not None, f"{peer} is not installed: make peers"
    command = [str(python), str(Path(__file__).with_name(script)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def saelens_python() -> Path | None:
    """The Python that has SAELens, or None where it is not installed."""
    return peer_python("saelens")


def run_saelens(script: str, *arguments: Path | str) -> str:
    """Runs a script of tests/peers with SAELens's Python and returns its output.

    Raises:
        AssertionError: it failed; its own words are the message.
    """
    return run_peer("saelens", script, *arguments)
