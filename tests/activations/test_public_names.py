from __future__ import annotations

import subprocess
import sys

import pytest

import saetui.activations


def test_every_public_name_is_there() -> None:
    for name in saetui.activations.__all__:
        assert getattr(saetui.activations, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        saetui.activations.nothing  # noqa: B018


def test_importing_the_package_does_not_load_torch() -> None:
    script = "import sys, saetui.activations; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_library_needs_nothing_else_of_saetui() -> None:
    script = (
        "import sys, saetui.activations as a; [getattr(a, name) for name in a.__all__];"
        "print(*sorted(m for m in sys.modules if m.startswith('saetui.') and not m.startswith('saetui.activations')))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert loaded.split() == [
        "saetui.bundled",
        "saetui.child_processes",
        "saetui.display",
        "saetui.display.figures",
        "saetui.errors",
        "saetui.failpoints",
        "saetui.formats",
        "saetui.formats.caches",
        "saetui.formats.directories",
        "saetui.formats.durable",
        "saetui.formats.names",
        "saetui.formats.paths",
        "saetui.formats.regular",
        "saetui.formats.step_sizes",
        "saetui.formats.times",
        "saetui.sources",
        "saetui.sources.dataset_files",
        "saetui.sources.hub_cache",
        "saetui.sources.model_files",
        "saetui.sources.text_files",
    ]
