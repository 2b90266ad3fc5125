"""Whether a logout ends trainings, on trees of systemd's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saetui.cli.checks.finding import Finding, Verdict
from saetui.cli.checks.login import check_logout
from saetui.client.blocking import ask
from saetui.home import Home
from saetui.protocol.messages import GetStatus
from tests.devices.trees import write

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
DESKTOP = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope\n"
SERVICE = "0::/system.slice/docker-0a1b.scope\n"
HYBRID = "4:memory:/user.slice\n1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/user.slice\n"
KILLS = "[Login]\nKillUserProcesses=yes\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    return tmp_path / "root"


def found(root: Path, home: Home, *, cgroup: str = SESSION, lingers: bool = False, pid: int | None = None) -> Finding:
    write(root, f"proc/{pid or 'self'}/cgroup", cgroup)
    if lingers:
        write(root, "var/lib/systemd/linger/ada", "")
    (finding,) = check_logout(home, root, "ada")
    return finding


@pytest.mark.parametrize("lingers", [False, True])
@pytest.mark.parametrize("cgroup", [SESSION, HYBRID])
def test_a_login_whose_processes_are_ended_takes_trainings_along(
    root: Path, home: Home, cgroup: str, lingers: bool
) -> None:
    write(root, "etc/systemd/logind.conf", KILLS)
    finding = found(root, home, cgroup=cgroup, lingers=lingers)
    assert finding.verdict is Verdict.PROBLEM
    way_out = "saetui supervisor stop && systemd-run --user --scope saetui supervisor start"
    # Lingering keeps the user's manager, not the processes of a login.
    assert finding.suggestion == (way_out if lingers else f"loginctl enable-linger && {way_out}")


def test_a_desktops_terminal_needs_lingering_whatever_logind_kills(root: Path, home: Home) -> None:
    finding = found(root, home, cgroup=DESKTOP)
    assert finding.verdict is Verdict.PROBLEM and finding.suggestion == "loginctl enable-linger"
    write(root, "etc/systemd/logind.conf", KILLS)
    assert found(root, home, cgroup=DESKTOP, lingers=True).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    "configuration",
    [
        "",
        "[Login]\n#KillUserProcesses=yes\n",
        "[Login]\nKillUserProcesses=no\n",
        "no section at all",
        "[Login]\nKillUserProcesses=no\nKillUserProcesses\n",
        f"{KILLS}KillExcludeUsers=root ada\n",
        f"{KILLS}KillOnlyUsers=grace\n",
    ],
)
def test_where_a_login_is_left_alone_jobs_go_on(root: Path, home: Home, configuration: str) -> None:
    write(root, "etc/systemd/logind.conf", configuration)
    assert found(root, home).verdict is Verdict.GOOD


def test_what_belongs_to_no_login_goes_on(root: Path, home: Home) -> None:
    write(root, "etc/systemd/logind.conf", KILLS)
    assert found(root, home, cgroup=SERVICE).verdict is Verdict.GOOD


def test_a_machine_without_systemd_ends_nothing(tmp_path: Path, home: Home) -> None:
    write(tmp_path, "etc/systemd/logind.conf", KILLS)
    assert found(tmp_path, home).verdict is Verdict.GOOD


def test_a_later_file_counts_more_and_one_in_etc_replaces_its_namesake(root: Path, home: Home) -> None:
    write(root, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=no\n")
    write(root, "usr/lib/systemd/logind.conf.d/50-vendor.conf", KILLS)
    assert found(root, home).verdict is Verdict.PROBLEM
    write(root, "etc/systemd/logind.conf.d/50-vendor.conf", "[Login]\n")
    assert found(root, home).verdict is Verdict.GOOD
    write(root, "run/systemd/logind.conf.d/60-own.conf", KILLS)
    assert found(root, home).verdict is Verdict.PROBLEM


def test_the_supervisors_place_counts_and_not_that_of_the_command(root: Path, home: Home) -> None:
    pid = ask(GetStatus()).pid
    assert pid != os.getpid()
    write(root, "proc/self/cgroup", SERVICE)
    assert found(root, home, cgroup=DESKTOP, pid=pid).verdict is Verdict.PROBLEM
