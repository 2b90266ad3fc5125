"""Conversations, and the text that a chat model reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from saetui.errors import DatasetError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, object]
"""Mostly a `role` and a `content`."""
_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
"""ShareGPT's names of roles, and those of chat templates."""


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template. The key of a tokenised dataset contains this struct's repr.

    Attributes:
        template: in Jinja. None where the tokenizer has none, like those of base models.
        special_tokens: names that the template may use, such as `bos_token`, with their tokens.
    """

    template: str | None = None
    special_tokens: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> ChatTemplate:
        """The template of a tokenizer. If it has several: the one for conversations without tools."""
        found = tokenizer.chat_template
        if isinstance(found, dict):
            found = found.get("default")
        names = ((name, token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str))
        return cls(found if isinstance(found, str) else None, tuple(sorted(names)))

    @property
    def how(self) -> str:
        """How it makes text of a conversation, as the end of a sentence."""
        if self.template is None:
            return "as their messages, joined by blank lines, because the tokenizer has no chat template"
        return "through the tokenizer's chat template"

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as text, with the template's own tokens for its beginning and its turns.

        A model without a template knows no tokens for turns. It reads the messages as paragraphs.

        Raises:
            DatasetError: Jinja is not installed.
            ValueError: the template refuses these messages; the error says why.
        """
        if self.template is None:
            return "\n\n".join(text for message in messages if (text := _text_of(message)))
        try:
            # The annotation of transformers demands text for every value, but templates take content in parts too.
            conversation: Any = list(messages)
            return str(self._renderer.apply_chat_template(conversation, tokenize=False))
        except ImportError as error:
            raise DatasetError(f"Chat templates are not read: {error}", "Install it: pip install jinja2.") from error
        # A template is a program in Jinja's sandbox, and may raise any error of Python over messages that it does not expect.
        except Exception as error:
            raise ValueError(f"the chat template refuses it: {' '.join(str(error).split())[:200]}") from error

    @cached_property
    def _renderer(self) -> PreTrainedTokenizerFast:
        """A tokenizer with this template and an empty vocabulary, which is enough to render."""
        # Imported here: the process that tokenises needs transformers for conversations alone.
        from tokenizers import Tokenizer, models
        from transformers import PreTrainedTokenizerFast

        # transformers leaves its constructor untyped.
        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=Tokenizer(models.WordLevel({}, "")),
            chat_template=self.template,
            **dict(self.special_tokens),
        )


def _text_of(message: Message) -> str:
    """The text of a message. Its content may come in parts, with pictures among them."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def as_messages(value: object) -> list[Message] | None:
    """Messages of `role` and `content`, also from ShareGPT's `from` and `value`. None for anything else."""
    if not isinstance(value, list) or not value:
        return None
    messages = [_as_message(message) for message in value]
    return [message for message in messages if message is not None] if None not in messages else None


def _as_message(value: object) -> Message | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("role"), str):
        # In columns every message has each field that any message has, and a template asks whether a field is there.
        return {name: part for name, part in value.items() if part is not None or name == "content"}
    role, text = value.get("from"), value.get("value")
    if isinstance(role, str) and isinstance(text, str):
        return {"role": _ROLES.get(role, role), "content": text}
    return None
