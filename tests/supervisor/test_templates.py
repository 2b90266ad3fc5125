from __future__ import annotations

import pytest

from saetui.client.blocking import BlockingClient, ask
from saetui.errors import Conflict, FormatError, InvalidInput, NotFound
from saetui.jobs.job import Status
from saetui.jobs.template import Template
from saetui.jobs.templates import BUILTIN_TEMPLATES, export_text
from saetui.protocol import messages as m
from tests.supervisor.conftest import Machine

SPEC = {"architecture": "topk", "hyperparameters": {"k": 16}}


def listed(machine: Machine) -> list[Template]:
    return list(ask(m.GetTemplates(), machine.home).templates)


def saved(machine: Machine, name: str = "") -> Template:
    return ask(m.SaveTemplate(SPEC, name=name), machine.home).template


def test_the_built_in_templates_are_there_and_can_only_be_favourites(machine: Machine) -> None:
    machine.start()
    builtin = BUILTIN_TEMPLATES[0]
    assert {template.id for template in listed(machine)} == {template.id for template in BUILTIN_TEMPLATES}
    with pytest.raises(Conflict, match="built in"):
        ask(m.EditTemplate(builtin.id, name="other"), machine.home)
    with pytest.raises(Conflict, match="built in"):
        ask(m.DeleteTemplate(builtin.id), machine.home)
    assert ask(m.EditTemplate(builtin.id, favorite=True), machine.home).template.favorite
    machine.kill()
    machine.start()
    assert listed(machine)[0].id == builtin.id and listed(machine)[0].favorite


def test_names_are_generated_and_taken_ones_get_a_number(machine: Machine) -> None:
    machine.start()
    first, second = saved(machine), saved(machine)
    assert first.name == "topk_8x_100000steps" and second.name == first.name + "_2"
    copy = ask(m.DuplicateTemplate(first.id), machine.home).template
    assert copy.name == first.name + "_3" and copy.spec == first.spec and not copy.builtin
    renamed = ask(m.EditTemplate(second.name, name="mine", description="why"), machine.home).template
    assert (renamed.id, renamed.name, renamed.description) == (second.id, "mine", "why")
    same = ask(m.EditTemplate("mine", name="mine"), machine.home).template
    assert same.name == "mine"


def test_a_deleted_template_can_be_brought_back(machine: Machine) -> None:
    machine.start()
    template = saved(machine, "mine")
    deleted = ask(m.DeleteTemplate("mine"), machine.home).template
    with pytest.raises(NotFound):
        ask(m.DeleteTemplate("mine"), machine.home)
    assert ask(m.RestoreTemplate(deleted), machine.home).template == template
    with pytest.raises(Conflict):
        ask(m.RestoreTemplate(deleted), machine.home)


def test_a_template_that_is_wrong_is_refused_with_every_reason(machine: Machine) -> None:
    machine.start()
    with pytest.raises(InvalidInput) as caught:
        ask(m.SaveTemplate({"layerz": 1}, name="../x", description="d" * 501), machine.home)
    assert all(word in caught.value.message for word in ("layerz", "../x", "501"))
    assert len(listed(machine)) == len(BUILTIN_TEMPLATES)


def test_good_entries_of_a_file_come_in_and_bad_ones_are_refused_with_a_reason(machine: Machine) -> None:
    machine.start()
    saved(machine, "mine")
    text = export_text([saved(machine, "mine"), saved(machine, "other")]).replace('"other"', '"bad/name"')
    result = ask(m.ImportTemplates(text), machine.home).result
    assert [template.name for template in result.imported] == ["mine_2_2"]
    assert [entry.name for entry in result.refused] == ["bad/name"]
    with pytest.raises(FormatError):
        ask(m.ImportTemplates("not json"), machine.home)


def test_a_template_that_is_not_there_makes_no_job(machine: Machine) -> None:
    machine.start()
    with pytest.raises(NotFound, match="nothing"):
        ask(m.Submit(machine.spec(steps=1), template="nothing"), machine.home)
    assert ask(m.GetJobs(), machine.home).jobs == ()


def test_a_use_is_counted_and_everyone_is_told(machine: Machine) -> None:
    machine.start()
    template = saved(machine, "mine")
    with BlockingClient.connect(machine.home) as client:
        news = client.news()
        next(news)
        spec = machine.spec(steps=1)
        job = ask(m.Submit(spec, template=template.id), machine.home).job
        told = next(
            event.change.templates
            for event in news
            if isinstance(event, m.Event) and isinstance(event.change, m.TemplatesChanged)
        )
    used = next(found for found in told if found.id == template.id)
    assert used.use_count == 1 and used.last_used_at is not None
    machine.until(job.id, Status.COMPLETED)
