"""How a store that an older saetui wrote becomes one of this version: one step for each version, on plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA_VERSION = 3
"""1: jobs and templates. 2: preferences, and the queue has an order of its own (`queue_rank`). 3: templates have a file of
their own, in which the store has put them before this is done."""

Content = dict[str, dict[str, Any]]
"""The file as TinyDB lays it out: table, number, document."""


def migrate(content: Content) -> int:
    """Bring a file's content to this version, in place; the version that it had."""
    (meta,) = content["meta"].values()
    found = int(meta["version"])
    for step in _STEPS[found - 1 :]:
        step(content)
    meta["version"] = SCHEMA_VERSION
    return found


def _give_ranks(content: Content) -> None:
    """Version 1 started queued jobs in the order in which they were made."""
    queued = [record["job"] for record in content.get("jobs", {}).values() if record["job"]["status"] == "queued"]
    for rank, job in enumerate(sorted(queued, key=lambda job: str(job["created_at"])), start=1):
        job["queue_rank"] = rank


def _leave_templates(content: Content) -> None:
    content.pop("templates", None)


_STEPS: tuple[Callable[[Content], None], ...] = (_give_ranks, _leave_templates)
