from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.errors import Conflict, FormatError, InvalidInput, NotFound
from saetui.formats.durable import write_durably
from saetui.jobs.job import Status
from saetui.jobs.template_files import export_text
from saetui.jobs.templates import BUILTIN_TEMPLATES, Template
from saetui.protocol.messages import (
    Change,
    DeleteTemplate,
    DuplicateTemplate,
    EditTemplate,
    Event,
    GetJobs,
    GetStatus,
    GetTemplates,
    ImportTemplates,
    RestoreTemplate,
    SaveTemplate,
    Submit,
    TemplatesChanged,
)
from saetui.supervisor import store as store_module
from saetui.supervisor import templates as templates_module
from saetui.supervisor.store import Store
from saetui.supervisor.templates import Templates
from tests.supervisor.conftest import Machine

SPEC = {"architecture": "topk", "hyperparameters": {"k": 16}}


def listed(machine: Machine) -> list[Template]:
    return list(ask(GetTemplates(), machine.home).templates)


def saved(machine: Machine, name: str = "") -> Template:
    return ask(SaveTemplate(SPEC, name=name), machine.home).template


def test_the_built_in_templates_are_there_and_can_only_be_favourites(machine: Machine) -> None:
    machine.start()
    builtin = BUILTIN_TEMPLATES[0]
    assert {template.id for template in listed(machine)} == {template.id for template in BUILTIN_TEMPLATES}
    with pytest.raises(Conflict, match="built in"):
        ask(EditTemplate(builtin.id, name="other"), machine.home)
    with pytest.raises(Conflict, match="built in"):
        ask(DeleteTemplate(builtin.id), machine.home)
    assert ask(EditTemplate(builtin.id, favorite=True), machine.home).template.favorite
    machine.kill()
    machine.start()
    assert listed(machine)[0].id == builtin.id and listed(machine)[0].favorite


def test_names_are_generated_and_taken_ones_get_a_number(machine: Machine) -> None:
    machine.start()
    first, second = saved(machine), saved(machine)
    assert first.name == "topk_8x_100000steps" and second.name == first.name + "_2"
    copy = ask(DuplicateTemplate(first.id), machine.home).template
    assert copy.name == first.name + "_3" and copy.spec == first.spec and not copy.builtin
    renamed = ask(EditTemplate(second.name, name="mine", description="why"), machine.home).template
    assert (renamed.id, renamed.name, renamed.description) == (second.id, "mine", "why")
    same = ask(EditTemplate("mine", name="mine"), machine.home).template
    assert same.name == "mine"


def test_the_spec_of_a_template_of_ones_own_can_be_changed(machine: Machine) -> None:
    machine.start()
    template = saved(machine, "mine")
    changed = {**SPEC, "name": "of a job", "hyperparameters": {"k": 5}}
    edited = ask(EditTemplate("mine", spec=changed), machine.home).template
    assert (edited.id, edited.name) == (template.id, "mine")
    assert edited.spec == {**SPEC, "hyperparameters": {"k": 5}}
    with pytest.raises(InvalidInput, match="k"):
        ask(EditTemplate("mine", spec={"hyperparameters": {"k": -5}}), machine.home)
    with pytest.raises(Conflict, match="built in"):
        ask(EditTemplate(BUILTIN_TEMPLATES[0].id, spec=changed), machine.home)
    machine.kill()
    machine.start()
    assert next(found for found in listed(machine) if found.id == template.id).spec == edited.spec


def test_a_deleted_template_can_be_brought_back(machine: Machine) -> None:
    machine.start()
    template = saved(machine, "mine")
    deleted = ask(DeleteTemplate("mine"), machine.home).template
    with pytest.raises(NotFound):
        ask(DeleteTemplate("mine"), machine.home)
    assert ask(RestoreTemplate(deleted), machine.home).template == template
    with pytest.raises(Conflict):
        ask(RestoreTemplate(deleted), machine.home)


def test_a_template_that_is_wrong_is_refused_with_every_reason(machine: Machine) -> None:
    machine.start()
    with pytest.raises(InvalidInput) as caught:
        ask(SaveTemplate({"layerz": 1}, name="../x", description="d" * 501), machine.home)
    assert all(word in caught.value.message for word in ("layerz", "../x", "501"))
    assert len(listed(machine)) == len(BUILTIN_TEMPLATES)


def test_good_entries_of_a_file_come_in_and_bad_ones_are_refused_with_a_reason(machine: Machine) -> None:
    machine.start()
    saved(machine, "mine")
    text = export_text([saved(machine, "mine"), saved(machine, "other")]).replace('"other"', '"bad/name"')
    result = ask(ImportTemplates(text), machine.home).result
    assert [template.name for template in result.imported] == ["mine_2_2"]
    assert [entry.name for entry in result.refused] == ["bad/name"]
    with pytest.raises(FormatError):
        ask(ImportTemplates("not json"), machine.home)


def test_a_template_that_is_not_there_makes_no_job(machine: Machine) -> None:
    machine.start()
    with pytest.raises(NotFound, match="nothing"):
        ask(Submit(machine.spec(steps=1), template="nothing"), machine.home)
    assert ask(GetJobs(), machine.home).jobs == ()


def test_a_use_is_counted_and_everyone_hears_of_it(machine: Machine) -> None:
    machine.start()
    template = saved(machine, "mine")
    with BlockingClient.connect(machine.home) as client:
        news = client.news()
        next(news)
        spec = machine.spec(steps=1)
        job = ask(Submit(spec, template=template.id), machine.home).job
        published = (
            found
            for event in news
            if isinstance(event, Event) and isinstance(event.change, TemplatesChanged)
            for found in event.change.templates
        )
        used = next(found for found in published if found.id == template.id and found.use_count)
    assert used.use_count == 1 and used.last_used_at is not None
    machine.until(job.id, Status.COMPLETED)


def many(number: int, **spec: object) -> str:
    """A file with so many templates, each with a dataset of its own."""
    entries = [
        Template(
            id=f"t{index}",
            name=f"template {index}",
            spec={**SPEC, "dataset": {"source": f"/no/such/text/{index}"}, **spec},
            created_at="then",
            updated_at="then",
        )
        for index in range(number)
    ]
    return export_text(entries)


async def test_an_import_is_one_write_and_a_subscription_checks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Change] = []
    written: list[Path] = []

    def counting(path: Path, data: bytes, *arguments: Any, **named: Any) -> None:
        written.append(path)
        write_durably(path, data, *arguments, **named)

    store = Store(tmp_path / "saetui.json")
    templates = Templates(store, published.append)
    monkeypatch.setattr(store_module, "write_durably", counting)
    result = await templates.add_from_file(many(700))
    assert len(result.imported) == 700 and result.refused == ()
    assert written == [tmp_path / "templates.json", tmp_path / "templates.json.previous"]
    scans = templates.references.scans
    assert len(templates.known()) == 700 + len(BUILTIN_TEMPLATES) and templates.references.scans == scans == 0
    # Each reference is checked once, and then no more.
    shown = await templates.checked()
    assert sum(template.missing == ("dataset",) for template in shown) == 700
    scans = templates.references.scans
    await templates.checked()
    assert templates.references.scans == scans
    assert {template.name for template in Store(tmp_path / "saetui.json").templates()} == {
        template.name for template in result.imported
    }


def test_others_are_answered_while_many_templates_come_in(machine: Machine) -> None:
    machine.start()
    text = many(700)
    with BlockingClient.connect(machine.home) as other, BlockingClient.connect(machine.home) as importing:
        imported = threading.Thread(target=lambda: importing.request(ImportTemplates(text)))
        imported.start()
        answered = 0
        while imported.is_alive():
            other.request(GetStatus(), timeout=10)
            answered += 1
        assert answered > 1
    assert len(listed(machine)) == 700 + len(BUILTIN_TEMPLATES)


def test_what_is_missing_is_published_as_soon_as_it_is_known(machine: Machine) -> None:
    machine.start()
    with BlockingClient.connect(machine.home) as client:
        news = client.news()
        next(news)
        ask(SaveTemplate({**SPEC, "dataset": {"source": "/no/such/text"}}, name="mine"), machine.home)
        for event in news:
            if isinstance(event, Event) and isinstance(event.change, TemplatesChanged):
                mine = next((found for found in event.change.templates if found.name == "mine"), None)
                if mine is not None and mine.missing == ("dataset",):
                    break


def test_more_templates_than_can_be_published_at_once_are_refused_whole(machine: Machine) -> None:
    machine.start()
    text = many(600, model=str(Path("m" * 240, "m" * 240)))
    ask(ImportTemplates(text), machine.home)
    with pytest.raises(Conflict, match="no room"):
        ask(ImportTemplates(text), machine.home)
    assert len(listed(machine)) == 600 + len(BUILTIN_TEMPLATES)


async def test_a_disk_that_never_answers_keeps_neither_the_list_nor_the_leaving_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(templates_module, "CHECK_SECONDS", 0.05)
    templates = Templates(Store(tmp_path / "saetui.json"), lambda change: None)
    monkeypatch.setattr(templates.references, "refresh", lambda spec: stuck.wait())
    before = threading.active_count()
    for _ in range(5):
        assert len(await templates.checked()) == len(BUILTIN_TEMPLATES)
    assert threading.active_count() == before + 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "references")
    stuck.set()
