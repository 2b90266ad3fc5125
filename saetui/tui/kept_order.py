"""The order of the list in this window, and the preference that keeps it."""

from __future__ import annotations

from saetui.jobs.preferences import PREFERENCES
from saetui.tui.job_order import Sorting


class KeptOrder:
    """Follows the preference `order`, except where it only echoes what this window has set.

    An echo comes late: while `o` is pressed again and again, the answer to an earlier press must not take a later one back.
    """

    def __init__(self) -> None:
        self.sorting = Sorting()
        self._known = ""
        self._sent: list[str] = []

    def choose(self, sorting: Sorting) -> None:
        """Order by this from now on; the caller keeps it as the preference."""
        self.sorting = sorting
        self._sent.append(sorting.preference)

    def follow(self, preference: str) -> bool:
        """Take over the preference, where someone else has changed it. Returns whether the order is another one now."""
        if preference == self._known:
            return False
        self._known = preference
        if preference in self._sent:
            del self._sent[: self._sent.index(preference) + 1]
            return False
        before = self.sorting
        if preference in PREFERENCES["order"].choices:  # a newer supervisor may know more
            self.sorting = Sorting.from_preference(preference)
        return self.sorting != before
