"""A lock that cannot be checked for want of descriptors does not count as free."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saetui.launch.locks import is_held, try_lock


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_lock_is_held_free_or_not_known(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    assert not is_held(path)
    held = try_lock(path)
    assert held is not None
    try:
        assert is_held(path)
        with no_descriptor_left(), pytest.raises(OSError) as caught:
            is_held(path)
        assert caught.value.errno == errno.EMFILE
    finally:
        os.close(held)
    assert not is_held(path)
