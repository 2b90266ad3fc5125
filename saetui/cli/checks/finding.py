"""What one check of `saetui doctor` found, and what to do about it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Verdict(str, Enum):
    """What a check found."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. `suggestion`: what to do, where something should be done."""

    subject: str
    verdict: Verdict
    message: str
    suggestion: str | None = None


def good(subject: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(subject=subject, verdict=Verdict.GOOD, message=message)


def warning(subject: str, message: str, suggestion: str) -> Finding:
    """It works, with a disadvantage."""
    return Finding(subject=subject, verdict=Verdict.WARNING, message=message, suggestion=suggestion)


def problem(subject: str, message: str, suggestion: str | None) -> Finding:
    """Something does not work until the user acts."""
    return Finding(subject=subject, verdict=Verdict.PROBLEM, message=message, suggestion=suggestion)
