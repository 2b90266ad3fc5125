"""`python -m saetui.training.tasks.download`: brings a model or a dataset from the Hub into its local cache.

The request: `{"kind": "models" | "datasets", "reference": ID, "revision": REVISION | null}`. Only files that saetui reads are
fetched; an interrupted download continues.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from saetui.display.figures import size
from saetui.errors import DatasetError, HomeError, ModelError, SaetuiError
from saetui.formats.directories import bytes_in
from saetui.sources.hub_cache import Kind
from saetui.sources.text_files import DOWNLOADED, KINDS
from saetui.training.tasks.task import report, serve_task

WANTED: dict[Kind, tuple[list[str], list[str]]] = {
    # Some repositories hold the weights a second time, in another layout or for another runtime.
    "models": (["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"], ["*/*", "consolidated*"]),
    "datasets": (list(DOWNLOADED), []),
}
"""For each kind the files to fetch, and exceptions from them."""
FAILURES: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, HFValidationError, OSError, RuntimeError)
"""The first is the root of the HTTP library's errors, and that library has changed with versions of the Hub's; the last is what
the Hub's transfer program raises."""
_REPORT_SECONDS = 2.0


def download(request: dict[str, Any]) -> str:
    """Fetch the missing files of a repository. Returns the directory of its files.

    Raises:
        ModelError: the Hub has no such model, refuses it or cannot be reached; or the model has no safetensors.
        DatasetError: likewise for a dataset.
        HomeError: there is not enough space in the cache.
    """
    kind: Kind = request["kind"]
    reference, revision = request["reference"], request["revision"]
    allowed, refused = WANTED[kind]
    what = {"models": "model", "datasets": "dataset"}[kind]
    try:
        # First a request that fails at once where there is no network: the listing is retried for half a minute.
        HfApi().repo_info(reference, repo_type=what, revision=revision)
        entries = HfApi().list_repo_tree(reference, repo_type=what, revision=revision, recursive=True)
        sizes = {
            entry.path: entry.size
            for entry in entries
            if isinstance(entry, RepoFile) and _matches(entry.path, allowed) and not _matches(entry.path, refused)
        }
        _refuse_useless(kind, reference, sizes)
        cache = Path(HF_HUB_CACHE)
        cache.mkdir(parents=True, exist_ok=True)
        blobs = cache / f"{kind}--{reference.replace('/', '--')}" / "blobs"
        _require_space(cache, reference, sum(sizes.values()) - bytes_in(blobs))
        with _progress(reference, blobs, sum(sizes.values())):
            return snapshot_download(
                reference,
                repo_type=what,
                # By its name, so that the cache knows the revision by that name too.
                revision=revision,
                allow_patterns=allowed,
                ignore_patterns=refused,
            )
    except FAILURES as error:
        raise _refusal(kind, reference, revision, error) from error


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _refuse_useless(kind: Kind, reference: str, sizes: dict[str, int]) -> None:
    if kind == "models" and "adapter_config.json" in sizes:
        raise ModelError(
            f"{reference} has an adapter (adapter_config.json) on the Hub, which saetui does not apply; "
            "nothing was downloaded.",
            "Merge the adapter into its base model with peft (merge_and_unload), save_pretrained, and give that directory.",
        )
    if kind == "models" and not any(name.endswith(".safetensors") for name in sizes):
        raise ModelError(
            f"The model {reference} has no weights in safetensors on the Hub; nothing was downloaded.",
            "Choose another, or save it with save_pretrained, and give that directory.",
        )
    if not sizes:
        raise DatasetError(
            f"The dataset {reference} has no files that saetui reads on the Hub; nothing was downloaded.",
            f"It reads {KINDS}.",
        )


def _require_space(cache: Path, reference: str, needed: int) -> None:
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise HomeError(
            f"{reference} needs {size(needed)} more in {cache}, where {size(free)} are free.",
            "Free some space there, or name another place with HF_HUB_CACHE.",
        )


@contextmanager
def _progress(reference: str, blobs: Path, total: int) -> Iterator[None]:
    """Report every two seconds how much has come."""
    ended = threading.Event()
    report(f"Downloading {reference}, {size(total)}")

    def keep_reporting() -> None:
        while not ended.wait(_REPORT_SECONDS):
            report(f"Downloading {reference}, {size(min(bytes_in(blobs), total))} of {size(total)}")

    reporter = threading.Thread(target=keep_reporting, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def _refusal(kind: Kind, reference: str, revision: str | None, error: Exception) -> SaetuiError:
    family = ModelError if kind == "models" else DatasetError
    what = kind.removesuffix("s")
    if isinstance(error, GatedRepoError):
        return family(
            f"The Hub gives the {what} {reference} only to those who agreed to its terms.",
            f"Agree on its page on the Hub, then `hf auth login`. Or give a directory that holds the {what}.",
        )
    if isinstance(error, RevisionNotFoundError):
        return family(f"The {what} {reference} has no revision {revision} on the Hub.", "Check the revision.")
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return family(
            f"The Hub has no {what} {reference}, or it is private.",
            "Check the name; for a private one, `hf auth login`.",
        )
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return family(
        f"{reference} could not be downloaded from the Hub: {reason}",
        f"Try again: finished files stay. Or give a directory of this machine that holds the {what}.",
    )


if __name__ == "__main__":
    sys.exit(serve_task(download))
