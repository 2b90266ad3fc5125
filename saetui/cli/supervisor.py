"""`saetui supervisor`: the process behind the jobs, for users who want to see it."""

from __future__ import annotations

import click
import msgspec

from saetui.cli.output import Group, json_option, note, print_facts, print_json
from saetui.client.lifecycle import ensure_supervisor, run_supervisor, stop_supervisor, supervisor_status
from saetui.display.figures import ago
from saetui.errors import SupervisorError


@click.group(cls=Group)
def supervisor() -> None:
    """Manage the process that runs the queue; it starts by itself.

    There is one for each SAETUI_HOME. Running jobs go on without it, and the next one finds them.
    """


@supervisor.command("run")
@json_option
def run_in_foreground(as_json: bool) -> None:
    """Run the supervisor here, in the foreground."""
    found = supervisor_status()
    if found is not None:
        raise SupervisorError(
            f"A supervisor (pid {found.pid}) serves {found.home} already.",
            "Use it, or stop it with `saetui supervisor stop`; running jobs go on.",
        )
    run_supervisor()


@supervisor.command()
@json_option
def start(as_json: bool) -> None:
    """Start the supervisor in the background, as every other command does when it needs one.

    Use it for `@reboot` in a crontab, so that jobs which waited or were lost go on without a login
    (`saetui config set auto_resume on`).
    """
    ensure_supervisor()
    found = supervisor_status()
    if as_json:
        print_json({"running": found is not None, "pid": found.pid if found is not None else None})
    elif found is not None:
        click.echo(f"The supervisor ({found.pid}) serves {found.home}.")


@supervisor.command()
@json_option
def status(as_json: bool) -> None:
    """Show whether a supervisor runs, without starting one."""
    found = supervisor_status()
    if as_json:
        print_json({"running": found is not None} | (msgspec.to_builtins(found) if found is not None else {}))
    elif found is None:
        click.echo("No supervisor runs. It starts by itself when it is needed.")
    else:
        print_facts(
            [
                ("pid", str(found.pid)),
                ("version", found.version),
                ("started", ago(found.started_at)),
                ("home", found.home),
                ("socket", found.socket),
                ("jobs", f"{found.jobs_running} running, {found.jobs_queued} queued"),
                ("clients", str(found.clients)),
                *(("trouble", trouble) for trouble in found.troubles),
            ]
        )


@supervisor.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the supervisor; running jobs go on, and the next one finds them."""
    pid = stop_supervisor()
    if as_json:
        print_json({"stopped": pid})
    elif pid is None:
        note("No supervisor runs.")
    else:
        click.echo(f"The supervisor ({pid}) has stopped. Running jobs go on; queued ones wait for the next supervisor.")
