"""The figures of a job's sites: of the training now, and on held-out text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from saetui.cli.output import Column, print_table
from saetui.display.figures import number, percent
from saetui.jobs.job import Job
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader

Evaluation = dict[str, dict[str, float]]
"""For each site that was evaluated: the newest figures on held-out text, with their `step`."""

_TITLES = ("LOSS", "L0", "FVU", "DEAD", "HELD-OUT FVU", "WITH SINKS", "HELD-OUT L0", "CE RECOVERED")


def read_evaluation(run: RunDirectory, sites: Sequence[str]) -> Evaluation:
    """The newest evaluation of each site; sites without one are missing.

    Raises:
        FormatError: the log is not a metric log.
    """
    log = MetricReader(run.evaluation_metrics)
    log.poll()
    newest = {site: log.latest(site) for site in sites}
    return {site: {"step": found[0], **found[1]} for site, found in newest.items() if found is not None}


def print_sites(job: Job, evaluation: Mapping[str, Mapping[str, float]]) -> None:
    """One line for each site."""
    columns = [Column("SITE", gives_way=True), *(Column(title, right=True) for title in _TITLES)]
    print_table(columns, [_row(job, site, evaluation.get(site, {})) for site in job.sites])


def _row(job: Job, site: str, held_out: Mapping[str, float]) -> tuple[str, ...]:
    now = job.metrics.get(site, {})
    training = (
        number(now.get("loss")),
        number(now.get("l0")),
        number(now.get("fvu")),
        percent(now.get("dead_fraction")),
    )
    fvu = (number(held_out.get("fvu")), number(held_out.get("fvu_all")))
    return site, *training, *fvu, number(held_out.get("l0")), percent(held_out.get("ce_recovered"))
