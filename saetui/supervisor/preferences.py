"""The user's preferences, kept in the store and published to every client."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from saetui.jobs.preferences import Preferences, check_preferences
from saetui.protocol.messages import Change, PreferencesChanged
from saetui.supervisor.store import Store


class StoredPreferences:
    """The preferences of this home's user."""

    def __init__(self, store: Store, publish: Callable[[Change], None]) -> None:
        self._store = store
        self._publish = publish
        self._preferences = store.preferences()

    def current(self) -> Preferences:
        return self._preferences

    def change(self, values: Mapping[str, object]) -> Preferences:
        """Change the named ones.

        Raises:
            InvalidInput, HomeError: an unknown name, a wrong value, or the store cannot be written; nothing has changed.
        """
        changed = msgspec.structs.replace(self._preferences, **check_preferences(values))
        self._store.save_preferences(changed)
        self._preferences = changed
        self._publish(PreferencesChanged(changed))
        return changed
