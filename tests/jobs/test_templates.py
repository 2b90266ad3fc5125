from __future__ import annotations

import json

import pytest

from saetui.errors import FormatError
from saetui.formats.names import free_name, is_name, new_id, plain_name
from saetui.jobs.template_files import export_text, read_import
from saetui.jobs.templates import (
    BUILTIN_TEMPLATES,
    Template,
    check_template,
    generated_name,
    search_templates,
    sort_templates,
)
from saetui.spec.hyperparameters import HYPERPARAMETERS


def template(name: str, *, favorite: bool = False, last_used_at: str | None = None) -> Template:
    return Template(
        id=name, name=name, spec={"architecture": "topk"}, created_at="t", updated_at="t",
        favorite=favorite, last_used_at=last_used_at,
    )  # fmt: skip


def test_the_builtin_ones_are_sound_templates_with_names_and_descriptions() -> None:
    assert len({builtin.id for builtin in BUILTIN_TEMPLATES}) == len(BUILTIN_TEMPLATES) >= 4
    for builtin in BUILTIN_TEMPLATES:
        assert check_template(builtin.name, builtin.description, builtin.spec) == []
        assert builtin.builtin
        assert builtin.description


def test_a_name_is_made_from_architecture_width_and_length() -> None:
    spec = {"architecture": "standard", "hyperparameters": {"expansion_factor": 16.0, "num_steps": 5000}}
    assert generated_name(spec) == "standard_16x_5000steps"
    assert generated_name({}) == f"topk_8x_{HYPERPARAMETERS['num_steps'].default}steps"
    tokens = {"hyperparameters": {"latent_dim": 512, "num_tokens": 2_000_000}}
    assert generated_name(tokens) == "topk_512latents_2000000tokens"


def test_favourites_come_first_then_the_last_used() -> None:
    templates = [
        template("b"),
        template("a"),
        template("used", last_used_at="2026-01-01"),
        template("newer", last_used_at="2026-02-01"),
        template("loved", favorite=True),
    ]
    assert [one.name for one in sort_templates(templates)] == ["loved", "newer", "used", "a", "b"]


def test_search_wants_every_word() -> None:
    templates = [template("small topk run"), template("large run")]
    assert [one.name for one in search_templates(templates, "run SMALL")] == ["small topk run"]
    assert search_templates(templates, "gemma") == []


def test_export_and_import_carry_everything_across() -> None:
    original = template("mine", favorite=True)
    good, refused = read_import(export_text([original]))
    assert refused == []
    assert (good[0].name, good[0].spec, good[0].favorite) == ("mine", original.spec, True)


def test_good_entries_come_in_and_each_bad_one_gets_its_reason() -> None:
    document = {
        "format": "saetui-templates",
        "version": 1,
        "templates": [
            {"name": "good", "spec": {}},
            {"name": "bad value", "spec": {"hyperparameters": {"k": 0}}},
            {"name": "../../etc/passwd", "spec": {}},
            {"spec": {}},
            {"name": "odd", "spec": {}, "id": "x"},
            {"name": "long", "description": "x" * 501, "spec": {}},
            "text",
        ],
    }
    good, refused = read_import(json.dumps(document))
    assert [entry.name for entry in good] == ["good"]
    reasons = {entry.index: entry.reason for entry in refused}
    assert "k: 0 is below its limit of 1" in reasons[1]
    assert "is not a name" in reasons[2]
    assert "name: is missing" in reasons[3]
    assert "id: is not a known field" in reasons[4]
    assert "501 characters" in reasons[5]
    assert "not an object" in reasons[6]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a template file"),
        ('{"format": "saetui-templates", "version": 99, "templates": []}', "has version 99"),
        ('{"format": "saetui-templates", "version": 1, "templates": []}', "holds no templates"),
        ("[" * 200_000, "is not JSON"),
        ('{"format": "saetui-templates", "version": 1, "templates": [' + "{}," * 2000 + "{}]}", "holds 2001 templates"),
        ('"' + "x" * (1 << 20) + '"', "longer than 1.0 MiB"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_template_file_is_refused_whole(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_import(text)


def test_names() -> None:
    assert is_name("A run 1.2_b-c")
    assert not any(is_name(name) for name in ("", " a", "a/b", "a\n", "é", "a" * 65, "-a"))
    assert free_name("a", {"a", "a_2"}) == "a_3"
    assert free_name("x" * 64, {"x" * 64}) == "x" * 62 + "_2"
    assert is_name(plain_name("weird/\x1b[0m name"))
    assert is_name(new_id())
