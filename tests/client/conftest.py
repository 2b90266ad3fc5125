"""The same machine as the supervisor's tests have."""

from __future__ import annotations

from tests.supervisor.conftest import machine

__all__ = ["machine"]
