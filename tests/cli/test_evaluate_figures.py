"""What `saetui eval` and `saetui show` print of a site's figures."""

from __future__ import annotations

import pytest

from saetui.cli.evaluate import DENSITIES, print_evaluation
from saetui.cli.show import print_sites
from saetui.jobs.job import Job, Status

NO_DENSITY = dict.fromkeys(DENSITIES, 0.0)


def test_latents_that_fired_on_none_of_the_tokens_are_called_so_and_both_fvus_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {
        **NO_DENSITY, "trained_as": "topk", "latents": 1000, "notes": [], "fvu": 0.316, "fvu_all": 0.154, "sink_fraction": 0.015, "l0": 32.0,
        "never_fired": 0.125, "ce_clean": 3.0, "ce_sae": 3.2, "ce_zero": 9.0, "ce_recovered": 0.967,
    }  # fmt: skip
    print_evaluation(
        {
            "model": "m",
            "dataset": "d",
            "split": "train",
            "text_field": "text",
            "tokens": 4096,
            "context_length": 128,
            "sites": {"layer_6.resid_post": values},
        }
    )
    titles, row = capsys.readouterr().out.splitlines()[2:4]
    assert "DEAD" not in titles
    for title, figure in (("FVU", "0.316"), ("WITH SINKS", "0.154"), ("SINKS", "1.5%"), ("NEVER FIRED", "125 (12%)")):
        assert title in titles and figure in row


def test_a_job_s_sites_are_shown_with_the_fvu_of_ordinary_tokens_and_that_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = Job(
        id="a", name="a", status=Status.RUNNING, architecture="topk", model="m", layers=(6,), hook_points=("resid_post",),
        directory="", created_at="2026-01-01T00:00:00Z", metrics={"layer_6.resid_post": {"fvu": 0.3}},
    )  # fmt: skip
    print_sites(job, {"layer_6.resid_post": {"fvu": 0.316, "fvu_all": 0.154, "ce_recovered": 0.9}})
    titles, row = capsys.readouterr().out.splitlines()
    assert titles.index("HELD-OUT FVU") < titles.index("WITH SINKS")
    assert row.index("0.316") < row.index("0.154")
