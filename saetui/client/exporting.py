"""The finished SAEs of a job, copied to where other tools load them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from saetui.catalog.starts import CONFIG_LIMIT
from saetui.client.task import Cancelled, Task
from saetui.errors import Conflict, FormatError, InvalidInput, NotFound, SaetuiError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, fsync_file
from saetui.formats.names import SAE_CONFIG
from saetui.formats.regular import read_regular
from saetui.jobs.job import Job
from saetui.rundir.layout import RunDirectory

FORMATS = ("saelens", "dictionary_learning", "sparsify", "saetui")


class Export:
    """One export of a job's results. It can be cancelled from another thread; then nothing is left behind."""

    def __init__(self, job: Job, target: Path, layout: str, site: str | None = None) -> None:
        """
        Args:
            target: gets a directory for each site; with `site` it is the SAE itself. Nothing is overwritten.
            layout: one of `FORMATS`.
            site: this one alone; None: all.
        """
        self._job = job
        self._target = target
        self._layout = layout
        self._site = site
        self._task: Task | None = None
        self._cancelled = False

    def run(self) -> dict[str, Path]:
        """Write everything or nothing. Returns site → directory.

        Raises:
            NotFound: the job has no result, or not this site.
            Conflict: the target exists and is not empty.
            InvalidInput: the tool has no such architecture.
            Cancelled: `cancel` was called before the target had its name.
            SaetuiError: the conversion failed, or the place cannot be written to.
        """
        results, site, target = finished(self._job), self._site, self._target
        if site is not None and site not in results:
            raise NotFound(f"The job {self._job.name} has no site {site}.", f"It has {', '.join(results)}.")
        require_free(target)
        chosen = results if site is None else {site: results[site]}
        scratch = Path(tempfile.mkdtemp(prefix="saetui-export-"))
        try:
            ready = self._in_layout(chosen, scratch)
            if self._cancelled:
                raise Cancelled("It was cancelled.")
            copy_out(ready if site is None else {"": ready[site]}, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return {name: target / name if site is None else target for name in chosen}

    def cancel(self) -> None:
        """End the conversion."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _in_layout(self, results: Mapping[str, Path], scratch: Path) -> Mapping[str, Path]:
        """The results in the layout: as they are where they have it, else converted into `scratch`."""
        layout, own = self._layout, [name for name, path in results.items() if is_own_format(path)]
        if layout == "saelens" and not own:
            return results
        if layout == "saetui" and not own:
            raise InvalidInput("Its SAEs are in SAELens's layout, which saetui reads too.", "Use the format saelens.")
        paths = {name: str(path) for name, path in results.items()}
        request = {"convert": paths, "into": str(scratch), "layout": layout}
        self._task = Task("saetui.training.tasks.convert", request, lambda line: None)
        self._task.run()
        return {name: scratch / name for name in results}


def finished(job: Job) -> dict[str, Path]:
    """The results of a job: site → directory.

    Raises:
        NotFound: the job has none.
    """
    results = RunDirectory(Path(job.directory)).results()
    if results:
        return {path.name: path for path in results}
    if job.status.ended:
        way_out = f"It ended without a result; `saetui show {job.id}` says why."
    else:
        way_out = f"It gets one at its end; `saetui stop {job.id}` ends it now and keeps the SAE of the present step."
    raise NotFound(f"The job {job.name} ({job.id}) is {job.status.value} and has no result.", way_out)


def is_own_format(result: Path) -> bool:
    """Whether a result is in saetui's own format, which SAELens does not load."""
    try:
        config = json.loads(read_regular(result / SAE_CONFIG, CONFIG_LIMIT))
    except (OSError, ValueError) as error:
        raise FormatError(f"The result in {result} is damaged: {error}.", "Resume or retry the job.") from error
    return isinstance(config, dict) and config.get("format") == "saetui"


def copy_out(parts: Mapping[str, Path], target: Path) -> None:
    """Copy directories into a new one, which takes its name only when everything is in it.

    Args:
        parts: the name inside the target → the directory to copy; the name "" is the target itself, and then alone.
        target: does not exist, or is an empty directory.

    Raises:
        Conflict: the target exists and is not empty; it stays as it is.
        SaetuiError: the place cannot be written to, or is full; nothing is left behind.
    """
    require_free(target)
    hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        try:
            for name, source in parts.items():
                _copy_directory(source, hidden / name)
            # This is one step onto an empty directory too; onto a full one, made meanwhile, it fails.
            hit("copy.rename")
            os.rename(hidden, target)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        fsync_directory(target.parent, point="copy")
    except OSError as error:
        raise SaetuiError(
            f"{target} cannot be written: {error.strerror} ({error.filename}).",
            "Choose a writable place with enough space.",
        ) from error


def require_free(target: Path) -> None:
    """Check that a directory can be made here.

    Raises:
        Conflict: a file, or a directory that is not empty, has the name.
        SaetuiError: this user may not look there.
    """
    try:
        _require_free(target)
    except OSError as error:
        raise SaetuiError(
            f"{target} cannot be reached: {error.strerror}.", "Choose a directory that this user may write to."
        ) from error


def _require_free(target: Path) -> None:
    way_out = "Choose a directory that is empty or does not exist; saetui overwrites nothing."
    if target.is_dir():
        if any(target.iterdir()):
            raise Conflict(f"{target} is not empty.", way_out)
    elif target.exists() or target.is_symlink():
        raise Conflict(f"{target} exists already and is not a directory.", way_out)


def _copy_directory(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_file():
            copy = target / entry.name
            hit("copy.write")
            shutil.copyfile(entry, copy)
            fsync_file(copy, point="copy")
    fsync_directory(target)
