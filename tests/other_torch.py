"""Stands another torch in front of the one that is installed: for what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

LACKS_A_LIBRARY = "raise ImportError('libcudnn.so.9: cannot open shared object file')"
"""What the import of a torch does whose libraries are not here."""

BESIDE = {"safetensors": "0.8.0", "numpy": "2.4.6"}


def other_torch(
    directory: Path, program: str = LACKS_A_LIBRARY, *, torch: str = "2.13.0", transformers: str = "5.24.0"
) -> Path:
    """A directory for PYTHONPATH: a torch that is this program, and metadata of what is beside it."""
    for name, version in {"torch": torch, "transformers": transformers, **BESIDE}.items():
        information = directory / f"{name}-{version}.dist-info"
        information.mkdir(parents=True)
        needs = 'Requires-Dist: torch>=2.6; extra == "torch"\n' if name == "transformers" else ""
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    (directory / "torch.py").write_text(program)
    return directory
