from __future__ import annotations

from saetui.child_processes import torch_environment


def test_the_caches_of_threads_are_off_where_tensors_live() -> None:
    assert torch_environment({"A": "b"}) == {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def test_what_the_user_has_set_of_glibc_stays() -> None:
    tunables = torch_environment({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"})["GLIBC_TUNABLES"]
    assert tunables == "glibc.malloc.arena_max=2:glibc.malloc.tcache_count=0"
    own = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=5:glibc.malloc.arena_max=2"}
    assert torch_environment(own) == own
