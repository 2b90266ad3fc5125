"""A home of a saetui before its runs had rules: what is in it opens, and nothing goes on by other rules in silence."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import torch

from saetui.client.blocking import ask
from saetui.client.link import Link
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import SetPreferences
from saetui.sae import load_saelens
from saetui.tui.app import SaetuiApp
from tests.cli.conftest import Saetui, run_saetui
from tests.tui.pressing import screen_text, until

STORED = Path(__file__).with_name("data") / "home_before_rules.tar.gz"
"""One job of 8 latents, stopped at step 336: batch_topk with k = 2, whose running threshold gave a held-out L0 of its own."""
NAME, SITE, STEP = "begun-before", "layer_1.resid_post", 336


@pytest.fixture
def old(home: Home) -> Home:
    home.root.mkdir()
    with tarfile.open(STORED) as stored:
        stored.extractall(home.root)
    return home


@pytest.fixture
def saetui(old: Home) -> Saetui:
    return run_saetui


def test_its_jobs_their_figures_and_results_are_listed_shown_and_exported(saetui: Saetui, tmp_path: Path) -> None:
    (job,) = saetui("jobs", "--json").document
    assert (job["name"], job["status"], job["step"]) == (NAME, "stopped", STEP)
    held_out = saetui("show", NAME, "--json").document["evaluation"][SITE]
    assert (held_out["step"], 1.5 < held_out["l0"] < 2.5) == (200, True)
    shown = saetui("show", NAME).out
    assert f"step {STEP}" in shown
    assert f"{held_out['fvu']:.3g}" in shown
    rows = saetui("metrics", NAME, "--json").document
    assert [row["step"] for row in rows if "eval_l0" in row] == [200]
    exported = saetui("export", NAME, tmp_path / "taken", "--json")
    assert exported.code == 0, exported.err
    (config,) = (tmp_path / "taken").rglob("cfg.json")
    assert load_saelens(config.parent).reconstruct(torch.randn(3, 128)).shape == (3, 128)


def test_its_result_is_judged_on_any_text(saetui: Saetui, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(
        "".join(f"Document {number}: the quick brown fox number {number} jumps.\n" for number in range(300))
    )
    judged = saetui("eval", NAME, "--dataset", text, "--json")
    assert judged.code == 0, judged.err
    assert json.loads(judged.out)["sites"][SITE]["l0"] > 0


def test_its_run_is_not_resumed_by_other_rules_and_keeps_all_that_it_has(saetui: Saetui, old: Home) -> None:
    (run,) = old.runs.iterdir()
    kept = [*run.glob("sae/*/*"), *run.glob("checkpoints/*/*")]
    before = {path: path.read_bytes() for path in kept}
    # Its supervisor would take it up again and again if it had been killed by something outside.
    assert ask(SetPreferences({"auto_resume": True, "auto_resume_delay": 0}), old) is not None
    assert saetui("resume", NAME).code == 0
    ended = saetui("watch", NAME, "--json")
    (job,) = saetui("jobs", "--json").document
    assert job["status"] == Status.FAILED, ended.out
    assert job["error"]["kind"] == "format"
    assert (
        "began under earlier rules (version 2, now 3): it trained on first positions and on sinks"
        in job["error"]["message"]
    )
    assert "Retry the job to start again, or resume it with the saetui that began it" in job["error"]["suggestion"]
    assert job["resumes"] == 0
    assert {path: path.read_bytes() for path in kept} == before
    assert len(before) == 6
    assert saetui("show", NAME, "--json").document["evaluation"][SITE]["step"] == 200


async def test_its_job_is_charted_in_the_tui(old: Home) -> None:
    app = SaetuiApp(Link(old), theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: NAME in screen_text(app.screen))
        await until(pilot, lambda: "held-out" in screen_text(app.screen), "the charts")
