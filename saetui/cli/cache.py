"""`saetui cache`: the tokens and activations on disk."""

from __future__ import annotations

from pathlib import Path

import click

from saetui.catalog.cache_limit import parse_size, read_limit, write_limit
from saetui.catalog.caches import CacheEntry, delete_cache, delete_leftovers, find_caches, list_caches, verify_cache
from saetui.cli.candidates import complete_files
from saetui.cli.output import Column, Group, json_option, note, print_json, print_table, right
from saetui.cli.spec_options import final_spec, overrides_option
from saetui.cli.task import run_task
from saetui.display.figures import ABSENT, ago, percent, short_count, size
from saetui.errors import Conflict
from saetui.formats.caches import ACTIVATIONS
from saetui.home import find_home
from saetui.spec.editing import load_spec_file

_SHORT_KEY = 8


@click.group(cls=Group)
def cache() -> None:
    """Manage the tokens and activations on disk.

    They are made once and used by every job on the same model and text. Tokens are always kept. Activations are kept by
    `saetui cache build`, and by jobs on their first pass over the text once `saetui cache limit` has set a limit.
    """


@cache.command(name="list")
@json_option
def list_entries(as_json: bool) -> None:
    """List the entries, the last used first."""
    found = list_caches(find_home().cache)
    if as_json:
        print_json(found)
        return
    _print(found)
    damaged = [entry.key[:_SHORT_KEY] for entry in found if not entry.readable]
    if damaged:
        note(f"Delete what cannot be read: saetui cache delete {' '.join(damaged)}")
    limit = read_limit(find_home().cache)
    note("No limit is set, so jobs keep no activations." if limit is None else f"Activations may take {size(limit)}.")


@cache.command()
@click.argument("spec_file", metavar="SPEC.json", shell_complete=complete_files)
@overrides_option
@json_option
def build(spec_file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Extract the activations that a spec reads, once, for all jobs on the same model, text and sites.

    After an interruption, call it again: it continues where it stopped.
    """
    spec = final_spec(load_spec_file(Path(spec_file)), overrides)
    found = run_task("saetui.training.tasks.build_cache", {"spec": spec})
    if as_json:
        print_json(found)
        return
    keys = [entry["key"] for entry in found]
    _print([entry for entry in list_caches(find_home().cache) if entry.key in keys])


@cache.command()
@click.argument("keys", metavar="[KEY…]", nargs=-1)
@json_option
def verify(keys: tuple[str, ...], as_json: bool) -> int:
    """Compare entries with their checksums, all of them when none is named.

    Exits with 1 when one is damaged.
    """
    home = find_home()
    found = find_caches(home.cache, keys) if keys else list_caches(home.cache)
    problems = {entry.key: verify_cache(entry) for entry in found}
    if as_json:
        print_json([{"key": key, "sound": not wrong, "problems": wrong} for key, wrong in problems.items()])
    for entry in found:
        if not as_json:
            click.echo(f"{entry.key[:_SHORT_KEY]}  {'damaged' if problems[entry.key] else 'sound'}  {entry.what}")
        for sentence in problems[entry.key]:
            note(sentence)
    damaged = [key for key, wrong in problems.items() if wrong]
    if damaged:
        note(f"Delete what is damaged: saetui cache delete {' '.join(key[:_SHORT_KEY] for key in damaged)}")
    return 1 if damaged else 0


@cache.command()
@click.argument("keys", metavar="[KEY…]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Delete everything that is not in use.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(keys: tuple[str, ...], every: bool, yes: bool, as_json: bool) -> int:
    """Delete entries; a job that needs them makes them again.

    --all also removes what killed processes left. An entry in use is kept and named; the exit status is then 1, unless
    --all was given.
    """
    if bool(keys) == every:
        raise click.UsageError("Name the entries to delete, or --all.")
    home = find_home()
    found = list_caches(home.cache) if every else find_caches(home.cache, keys)
    total = size(sum(entry.bytes for entry in found))
    if found and not yes and not as_json:
        click.confirm(f"Delete {len(found)} of the cache's entries, {total}?", abort=True, err=True)
    deleted: list[CacheEntry] = []
    for entry in found:
        try:
            delete_cache(entry)
            deleted.append(entry)
        except Conflict as error:
            note(str(error))
    left = delete_leftovers(home.cache) if every else 0
    if as_json:
        print_json([entry.key for entry in deleted])
    else:
        note(f"Deleted {len(deleted)}, {size(sum(entry.bytes for entry in deleted))}.")
    if left:
        note(f"Removed {size(left)} that killed processes had left.")
    return 1 if keys and len(deleted) < len(found) else 0


@cache.command()
@click.argument("limit", metavar="[SIZE|off]", required=False)
@json_option
def limit(limit: str | None, as_json: bool) -> None:
    """Show or set how much disk the activations may take, e.g. 20GB.

    With a limit, jobs keep the activations of their first pass, if all of them fit. Then those that were not used for
    longest are deleted, when the next ones are kept, not at once. Without a limit (off), jobs keep nothing, and only
    `saetui cache build` keeps activations.
    """
    home = find_home()
    if limit is not None:
        home.make()
        write_limit(home.cache, None if limit == "off" else parse_size(limit))
    current = read_limit(home.cache)
    kept = sum(entry.bytes for entry in list_caches(home.cache) if entry.kind == ACTIVATIONS)
    if as_json:
        print_json({"limit_bytes": current, "kept_bytes": kept})
    else:
        click.echo("off" if current is None else size(current))
    if current is not None and kept > current:
        note(
            f"The kept activations take {size(kept)}, {size(kept - current)} more. The next build, or job that keeps some, "
            "deletes what was not used for longest; saetui cache delete does it at once."
        )


def _print(entries: list[CacheEntry]) -> None:
    columns = [Column("KEY"), Column("WHAT", gives_way=True), Column("TEXT", gives_way=True)]
    rows = [
        (
            entry.key[:_SHORT_KEY],
            "tokens" if entry.readable and entry.site is None else entry.what,
            entry.dataset or "",
            ABSENT if entry.context_length is None else str(entry.context_length),
            short_count(entry.tokens),
            size(entry.bytes),
            percent(entry.done),
            ago(entry.used_at),
        )
        for entry in entries
    ]
    print_table([*columns, *right("CONTEXT", "TOKENS", "SIZE", "DONE", "USED")], rows)
