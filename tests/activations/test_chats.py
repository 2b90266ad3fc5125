"""Conversations become the text that a chat model sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from saetui.activations.chats import ChatTemplate, as_messages
from tests.activations.families import END, make_tokenizer
from tests.activations.preparing import LINES, Preparer, write

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "{{ '[' + message.role + '] ' + message.content }}\n{% endfor %}{{ eos_token }}"
)
TURNS = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "the river"}]
SHARE_GPT = [{"from": "human", "value": "the cat"}, {"from": "gpt", "value": "the river"}]


@pytest.fixture(scope="module")
def chatting() -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def prepare_chats(chatting: PreTrainedTokenizerFast, tmp_path: Path) -> Preparer:
    return Preparer(chatting, tmp_path / "cache")


def jsonl(field: str, conversation: list[dict[str, str]]) -> str:
    return "\n".join(json.dumps({field: conversation}) for _ in LINES)


def test_a_conversation_is_rendered_as_the_tokenizer_renders_it(chatting: PreTrainedTokenizerFast) -> None:
    theirs = chatting.apply_chat_template(TURNS, tokenize=False)
    assert ChatTemplate.of(chatting).render(TURNS) == theirs == f"{END}[user] the cat\n[assistant] the river\n{END}"


def test_of_several_templates_the_default_one_is_taken() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"default": "{{ messages[0].content }}", "tool_use": "no"}  # type: ignore[assignment,unused-ignore]
    assert ChatTemplate.of(tokenizer).render(TURNS) == "the cat"


@pytest.mark.parametrize(
    ("field", "conversation"), [("messages", TURNS), ("conversations", SHARE_GPT), ("chat", TURNS)]
)
def test_rows_of_messages_are_documents(
    field: str, conversation: list[dict[str, str]], prepare_chats: Preparer, tmp_path: Path
) -> None:
    source = write(tmp_path / "a.jsonl", jsonl(field, conversation))
    data = prepare_chats(source, text_field=field)
    assert (data.documents, data.bad_rows) == (40, 0)
    assert prepare_chats.text(data).startswith("[user] the cat\n[assistant] the river\n[user]")
    assert data.notes == (
        f"The rows' field {field!r} is read as conversations, through the tokenizer's chat template.",
    )
    assert prepare_chats(source, text_field=field).notes == data.notes, "also when they are found in the cache"


def test_a_template_s_own_beginning_and_end_are_not_there_twice(prepare_chats: Preparer, tmp_path: Path) -> None:
    chats = prepare_chats(write(tmp_path / "a.jsonl", jsonl("messages", TURNS)))
    plain = write(
        tmp_path / "b.jsonl", "\n".join(json.dumps({"text": "[user] the cat\n[assistant] the river\n"}) for _ in LINES)
    )
    assert chats.manifest.checksum == prepare_chats(plain).manifest.checksum
    assert not np.any(np.diff(np.flatnonzero(chats.read(np.arange(chats.contexts))[:, 1:].flatten() == 0)) == 1)


def test_what_a_template_refuses_is_a_bad_row(prepare_chats: Preparer, tmp_path: Path) -> None:
    bad: list[Any] = [[{"role": "tool", "content": "x"}], [{"role": "user", "content": 7}], [], [{"text": "x"}]]
    content = jsonl("messages", TURNS) + "".join("\n" + json.dumps({"messages": row}) for row in bad)
    data = prepare_chats(write(tmp_path / "a.jsonl", content), text_field="messages")
    assert (data.documents, data.bad_rows) == (40, 4)
    assert "line 41: the chat template refuses it: no tools" in str(data.left_out)


def test_without_a_template_what_was_said_is_read_as_paragraphs_and_that_is_told(
    prepare: Preparer, tmp_path: Path
) -> None:
    data = prepare(write(tmp_path / "a.jsonl", jsonl("messages", TURNS)))
    assert prepare.text(data).startswith("the cat\n\nthe riverthe cat")
    assert "because the tokenizer has no chat template" in data.notes[0]


def test_another_template_makes_other_tokens(chatting: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", jsonl("messages", TURNS))
    other = make_tokenizer()
    other.chat_template = TEMPLATE.replace("[", "<")
    first, second = (Preparer(tokenizer, tmp_path / "cache")(source) for tokenizer in (chatting, other))
    assert first.key != second.key


def test_messages_go_by_the_names_of_chat_templates_and_of_sharegpt() -> None:
    assert as_messages(SHARE_GPT) == TURNS
    assert as_messages([{"role": "user", "content": "a", "name": None}]) == [{"role": "user", "content": "a"}]
    for value in (None, "a", [], ["a"], [{"role": 1}], [*TURNS, {"text": "a"}], {"role": "user"}):
        assert as_messages(value) is None
    parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a"}]}]
    assert ChatTemplate().render([*parts, *TURNS]) == "a\n\nthe cat\n\nthe river"
