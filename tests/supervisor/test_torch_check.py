"""A supervisor whose trainers need torch queues nothing that torch would fail; it forgets a fault that was repaired."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from saetui.errors import TorchError
from saetui.home import Home
from saetui.launch.local import TRAINER
from saetui.protocol.messages import CannotTrain
from saetui.supervisor import torch_check
from saetui.supervisor.torch_check import TorchCheck


def refuse(home: Home) -> None:
    raise TorchError("torch is not installed.", "Install it.")


def test_a_trainer_that_is_not_ours_needs_no_torch(tmp_path: Path) -> None:
    asyncio.run(TorchCheck(Home(tmp_path), ["python", "trainer.py"], refuse).require())


def test_ours_does(tmp_path: Path) -> None:
    with pytest.raises(TorchError):
        asyncio.run(TorchCheck(Home(tmp_path), TRAINER, refuse).require())


def test_who_watches_is_told_the_fault_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_check, "GOOD_SECONDS", 0.0)
    monkeypatch.setattr(torch_check, "BAD_SECONDS", 0.0)
    told: list[CannotTrain | None] = []

    def refuse_once(home: Home) -> None:
        if not told:
            refuse(home)

    check = TorchCheck(Home(tmp_path), TRAINER, refuse_once)
    asyncio.run(check.watch(told.append))
    asyncio.run(check.watch(told.append))
    assert told == [CannotTrain(message="torch is not installed.", suggestion="Install it."), None]
