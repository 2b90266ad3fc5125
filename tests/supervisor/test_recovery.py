from __future__ import annotations

import json
import os
import shutil
import signal

import msgspec

from saetui.client.blocking import ask
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs
from saetui.rundir.metrics import MetricReader
from saetui.supervisor.outcome import Exit, read_exit
from saetui.supervisor.record import Record, copy_path
from saetui.supervisor.store import previous_generation
from tests.conditions import eventually, lives
from tests.supervisor.conftest import Machine


def steps_recorded(machine: Machine, job_id: str) -> list[int]:
    reader = MetricReader(machine.run(job_id).training_metrics)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def test_a_job_runs_on_when_the_supervisor_is_killed_and_is_found_again_further_along(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    before = machine.until_step(job.id, 10)
    processes = machine.processes(job.id)
    machine.kill()
    assert all(lives(pid) for pid in processes)
    machine.start()
    after = machine.until_step(job.id, before.step + 20)
    assert after.status is Status.RUNNING
    assert machine.processes(job.id) == processes
    machine.stop(job.id)
    ended = machine.until(job.id, Status.STOPPED)
    assert steps_recorded(machine, job.id) == list(range(1, ended.step + 1))


def test_an_end_while_there_was_no_supervisor_is_known_to_the_next(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=60)
    killed = machine.submit(device="cuda")
    machine.until(job.id, Status.RUNNING)
    machine.until(killed.id, Status.RUNNING)
    machine.kill()
    os.kill(machine.processes(killed.id)[1], signal.SIGKILL)
    eventually(lambda: read_exit(machine.run(job.id).exit) and read_exit(machine.run(killed.id).exit))
    eventually(lambda: not machine.mine())
    machine.start()
    assert machine.job(job.id).status is Status.COMPLETED
    error = machine.job(killed.id).error
    assert error is not None and "SIGKILL" in error.message


def test_nothing_queued_starts_while_a_recovered_job_holds_the_device(machine: Machine) -> None:
    machine.start()
    running, waiting = machine.submit(), machine.submit(steps=1)
    machine.until_step(running.id, 1)
    machine.kill()
    machine.start()
    machine.until_step(running.id, machine.job(running.id).step + 20)
    assert machine.job(waiting.id).status is Status.QUEUED
    machine.stop(running.id)
    machine.until(waiting.id, Status.COMPLETED)


def test_leaving_as_asked_lets_trainings_go_on(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    assert machine.leave() == 0
    assert not machine.home.socket.exists()
    machine.start()
    machine.until_step(job.id, machine.job(job.id).step + 10)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_a_stop_that_was_recorded_but_never_sent_is_sent_by_the_next_supervisor(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    machine.kill()
    rewrite_status(machine, job.id, Status.STOPPING)
    machine.start()
    machine.until(job.id, Status.STOPPED)


def test_a_job_recorded_as_starting_of_which_nothing_was_started_waits_again_and_runs_once(machine: Machine) -> None:
    machine.start()
    first, job = machine.submit(), machine.submit(steps=5)
    machine.until(first.id, Status.RUNNING)
    machine.kill()
    rewrite_status(machine, job.id, Status.STARTING)
    machine.start()
    assert machine.until(job.id, Status.QUEUED).status is Status.QUEUED
    machine.stop(first.id)
    machine.until(job.id, Status.COMPLETED)
    assert steps_recorded(machine, job.id) == [1, 2, 3, 4, 5]


def test_a_job_of_an_earlier_boot_is_lost(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    machine.kill()
    for pid in machine.processes(job.id):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not machine.mine())
    identity = json.loads(machine.run(job.id).identity.read_text())
    del identity["crc"]
    for who in identity.values():
        who["boot"] = "another"
    machine.run(job.id).identity.write_text(json.dumps(identity))
    machine.run(job.id).exit.unlink(missing_ok=True)
    machine.start()
    lost = machine.job(job.id)
    assert lost.status is Status.LOST and lost.error is not None and "machine went down" in lost.error.message


def test_jobs_are_rebuilt_from_their_directories_when_the_store_is_damaged(machine: Machine) -> None:
    machine.start()
    done, running, waiting = machine.submit(name="done", steps=3), machine.submit(), machine.submit(name="waiting")
    machine.until(done.id, Status.COMPLETED)
    machine.until(running.id, Status.RUNNING)
    machine.kill()
    machine.home.store.write_bytes(machine.home.store.read_bytes()[:-100])
    previous_generation(machine.home.store).unlink()
    machine.start()
    found = {job.id: job for job in ask(GetJobs(), machine.home).jobs}
    assert found[done.id] == machine.job("done") and found[done.id].status is Status.COMPLETED
    assert found[waiting.id].status is Status.QUEUED and found[waiting.id].name == "waiting"
    assert found[running.id].status is Status.RUNNING
    assert list(machine.home.root.glob("saetui.json.unreadable-*"))
    machine.stop(waiting.id)
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


def test_a_job_is_rebuilt_from_its_spec_alone(machine: Machine) -> None:
    machine.start()
    job = machine.submit(name="mine", steps=3)
    machine.until(job.id, Status.COMPLETED)
    machine.kill()
    machine.home.store.unlink()
    previous_generation(machine.home.store).unlink()
    copy_path(machine.run(job.id)).unlink()
    machine.start()
    rebuilt = machine.job("mine")
    assert (rebuilt.id, rebuilt.status, rebuilt.step) == (job.id, Status.COMPLETED, 3)


def test_half_of_a_submission_that_was_never_acknowledged_is_removed(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    machine.kill()
    for name in ("hafmade2", "hafmade3"):
        machine.run(name).create(machine.run(job.id).read_spec())
    os.rename(machine.run("hafmade3").path, machine.home.runs / ".hafmade3.new")
    machine.start()
    eventually(lambda: [path.name for path in machine.home.runs.iterdir()] == [job.id])


def test_a_directory_that_is_gone_does_not_keep_the_others_from_being_found(machine: Machine) -> None:
    machine.start()
    running, gone = machine.submit(), machine.submit()
    machine.until(running.id, Status.RUNNING)
    machine.kill()
    shutil.rmtree(machine.run(gone.id).path)
    machine.start()
    error = machine.until(gone.id, Status.FAILED).error
    assert error is not None and "gone" in error.message
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


def test_an_exit_says_what_the_runner_saw(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    found = read_exit(machine.run(job.id).exit)
    assert isinstance(found, Exit) and (found.code, found.signal, found.out_of_memory) == (0, None, False)


def rewrite_status(machine: Machine, job_id: str, status: Status) -> None:
    """As if the supervisor had been killed right after it recorded this state."""
    store = json.loads(machine.home.store.read_text())
    for document in store["jobs"].values():
        if document["job"]["id"] == job_id:
            document["job"]["status"] = status.value
            record = msgspec.convert(document, Record)
    copy_path(machine.run(job_id)).write_bytes(msgspec.json.encode(record))
    del store["crc"]
    machine.home.store.write_text(json.dumps(store))
