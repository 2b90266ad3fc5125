"""Finds private words of earlier versions in names and texts: the field has ordinary ones for the same things."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

OLD_IN_NAMES = {
    "board": "jobs", "shelf": "templates", "taste": "preferences", "crowd": "memory_limit", "workforce": "scheduler",
    "verb": "command", "verbs": "commands", "revival": "auto_resume", "revive": "auto_resume", "tries": "attempts",
    "adoption": "recovery", "adopt": "recover", "wish": "desired_state", "wishes": "desired_state", "errand": "task",
    "errands": "task", "carry": "convert", "carried": "convert", "foretell": "estimate", "foretold": "estimate",
    "foretelling": "estimate", "look": "poll, read or show", "lifetime": "child_processes",
    "heap": "allocator", "mend": "repair", "anew": "again",
}  # fmt: skip
"""Word of a name → what to write instead."""

OLD_NAMES = {
    "Hub": "Broadcast", "Live": "RunningJob", "Verb": "JobCommand", "Tries": "Attempts",
    "Release": "Unload", "Pieces": "Chunks", "name_is_free": "require_free_name",
}  # fmt: skip
"""Whole names whose words have an ordinary sense elsewhere (Hugging Face's Hub, a line of text) → what to write instead."""

OLD_IN_TEXTS = re.compile(
    r"\b(errands?|foret(?:ell|old|elling)|workforce|the shelf|the board|the crowd|revivals?|adoption|wish(?:es)?|goes forth"
    r"|set right|its like|takes no room|mends?|mended)\b",
    re.IGNORECASE,
)

ALLOWED = {
    ("dead.py", "revive"): "a dead latent is revived: the field's word",
    ("jetson.py", "board"): "a Jetson is a board",
    ("preferences.py", "tries"): "the name of a setting on disk",
    ("ngrams.py", "look"): "looking up a count in a table",
    ("job.py", "wish"): "the name on the wire and on disk",
    ("control.py", "wish"): "the same",
    ("json.md", "wish"): "the same",
}
"""File and word → why it may stay."""


def old_words(source: str, file: str = "") -> list[str]:
    """Where a module uses an old word: `name: word` or `line: text`."""
    tree = ast.parse(source)
    found = []
    texts: list[tuple[int, str]] = []
    for name in sorted(set(_names(tree))):
        if name.lstrip("_") in OLD_NAMES:
            found.append(f"{name}: write {OLD_NAMES[name.lstrip('_')]}")
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
        found += [
            f"{name}: write {OLD_IN_NAMES[word.lower()]}"
            for word in words
            if word.lower() in OLD_IN_NAMES and (file, word.lower()) not in ALLOWED
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append((node.lineno, node.value))
    for number, line in enumerate(source.splitlines(), start=1):
        texts.append((number, line.partition("#")[2]))
    for number, text in texts:
        words = [match[0] for match in OLD_IN_TEXTS.finditer(text)]
        found += [f"line {number}: {word}" for word in words if not _is_allowed(file, word)]
    return found


def _is_allowed(file: str, text: str) -> bool:
    return any(place == file and word in text.lower() for place, word in ALLOWED)


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
