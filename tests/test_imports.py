"""What the torch-free programs really load, beside what the import contracts say of their source."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import grimp
import pytest

HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "numpy"}
PROGRAMS = {
    "the TUI": (
        "import saetui.tui.session, saetui.tui.screens.jobs, saetui.tui.screens.job, saetui.tui.screens.new_training, "
        "saetui.tui.screens.templates, saetui.tui.screens.help"
    ),
    "the command line": (
        "import importlib, pkgutil, saetui.cli\n"
        "for module in pkgutil.iter_modules(saetui.cli.__path__): importlib.import_module('saetui.cli.' + module.name)"
    ),
    "the supervisor": (
        "import importlib, pkgutil, saetui.supervisor\n"
        "for module in pkgutil.iter_modules(saetui.supervisor.__path__):\n"
        "    if module.name != '__main__': importlib.import_module('saetui.supervisor.' + module.name)"
    ),
    "the domain": "import saetui.spec.validation, saetui.jobs.templates, saetui.rundir.metrics, saetui.rundir.checkpoints",
}


def loaded_by(program: str) -> set[str]:
    code = f"{program}\nimport sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_torch_is_loaded(name: str) -> None:
    assert not HEAVY & loaded_by(PROGRAMS[name])


def test_the_runner_loads_nothing_outside_the_standard_library() -> None:
    runner = Path(__file__).parents[1] / "saetui" / "runner.py"
    code = (
        f"import runpy, sys; sys.argv = ['runner']; runpy.run_path({os.fspath(runner)!r}, run_name='loaded'); "
        "print(*{name if name.startswith('saetui') else name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    names = set(done.stdout.split()) - {
        "__main__",
        "saetui",
        "saetui.formats",
        "saetui.formats.durable",
        "saetui.formats.run_files",
        "saetui.failpoints",
    }
    assert names <= set(sys.stdlib_module_names) | set(sys.builtin_module_names)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports for type checkers count too: who must read two files at once is in a circle, whatever runs."""
    graph = grimp.build_graph("saetui", exclude_type_checking_imports=False)
    assert len(graph.modules) > 250
    assert circles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"b", "c"}]


def circles(imports: Mapping[str, Collection[str]]) -> list[set[str]]:
    """The groups of modules that reach each other."""
    reached = {module: _reached_from(module, imports) for module in imports}
    found: list[set[str]] = []
    for module in imports:
        group = {other for other in reached[module] if module in reached[other]}
        if len(group) > 1 and group not in found:
            found.append(group)
    return found


def _reached_from(module: str, imports: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for other in imports[waiting.pop()]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found
