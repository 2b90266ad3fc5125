"""README's table of keys, made from the table of actions: `python -m tests.tui.key_table` writes it anew."""

from __future__ import annotations

from pathlib import Path

from saetui.tui.actions import Action, Scope, actions_in

README = Path(__file__).parents[2] / "README.md"
SCOPES = (Scope.APP, Scope.JOBS, Scope.JOB, Scope.CHART, Scope.LOG, Scope.NEW, Scope.TEMPLATES, Scope.LIST)
_BEGIN, _END = "<!-- keys -->\n", "<!-- end of keys -->\n"


def table() -> str:
    """One row for each screen or kind of widget."""
    rows = [
        f"| {scope.title} | {', '.join(_entry(action) for action in actions_in(scope) if action.keys)} |"
        for scope in SCOPES
    ]
    return "\n".join(["| Where | Keys |", "|---|---|", *rows]) + "\n"


def _entry(action: Action) -> str:
    keys = " ".join(f"`{key}`" for key in action.shown_keys.split())
    return f"{keys} {action.label or action.help.rstrip('.').lower()}"


def written() -> str:
    """What README has between the marks."""
    return README.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0]


def main() -> None:
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    README.write_text(head + _BEGIN + table() + _END + rest.partition(_END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
