"""The text that every machine has: the standard library's source."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from saetui.bundled import stdlib_files, stdlib_root
from saetui.errors import DatasetError


def test_it_is_megabytes_of_source_from_the_running_python() -> None:
    files = stdlib_files()
    names = {path.relative_to(stdlib_root()).as_posix() for path in files}
    assert {"argparse.py", "asyncio/base_events.py", "json/decoder.py"} <= names
    assert sum(path.stat().st_size for path in files) > 5_000_000


def test_it_is_in_the_order_of_the_names_and_the_same_each_time() -> None:
    names = [path.relative_to(stdlib_root()).as_posix() for path in stdlib_files()]
    assert names == sorted(names)
    assert names == [path.relative_to(stdlib_root()).as_posix() for path in stdlib_files()]


@pytest.mark.parametrize(
    "left_out", ["site-packages", "test", "tests", "__pycache__", "idle_test", "lib-dynload", "encodings"]
)
def test_it_leaves_out_packages_tests_and_tables(left_out: str) -> None:
    assert not [path for path in stdlib_files() if left_out in path.relative_to(stdlib_root()).parts]


def test_it_leaves_out_what_describes_this_build() -> None:
    assert not [path for path in stdlib_files() if path.name.startswith("_sysconfigdata_")]


def test_a_python_without_its_source_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "os.py").write_text("")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DatasetError, match="Only 1 source files") as caught:
        stdlib_files()
    assert caught.value.suggestion is not None and "dataset" in caught.value.suggestion


def test_a_python_without_a_library_directory_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(gone))
    with pytest.raises(DatasetError, match="gone"):
        stdlib_files()


def test_asking_for_it_loads_nothing_outside_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import saetui.bundled; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'saetui'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
