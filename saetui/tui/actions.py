"""Everything that a key can do, in one table: it drives bindings, footer, help, palette and the documentation.

An action's handler is the method `action_<id>` of the screen or widget whose scope it is in. What destroys has a
capital letter and asks first. Nothing uses ctrl+m, ctrl+i, ctrl+h, alt+enter or shift+enter: terminals fold them
into other keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from textual.binding import Binding


class Scope(str, Enum):
    """Where an action is to be had: everywhere, on one screen, or in one kind of widget."""

    APP = "app"
    JOBS = "jobs"
    JOB = "job"
    NEW = "new"
    TEMPLATES = "templates"
    SETTINGS = "settings"
    FORM = "form"
    CHOICE = "choice"
    GRID = "grid"
    FOLD = "fold"
    START = "start"
    PICK = "pick"
    WORDS = "words"
    REPORT = "report"
    HELP = "help"
    LIST = "list"
    CHART = "chart"
    LOG = "log"
    DIALOG = "dialog"


SCOPE_TITLES = {
    Scope.APP: "Everywhere",
    Scope.JOBS: "Jobs",
    Scope.JOB: "Job",
    Scope.NEW: "New training",
    Scope.TEMPLATES: "Templates",
    Scope.SETTINGS: "Settings",
    Scope.FORM: "Forms",
    Scope.CHOICE: "Choices",
    Scope.GRID: "Layers and hook points",
    Scope.FOLD: "Folded settings",
    Scope.START: "Start button",
    Scope.PICK: "Choosing from a list",
    Scope.WORDS: "Dialogs with text",
    Scope.REPORT: "Reports",
    Scope.HELP: "Help",
    Scope.LIST: "Lists",
    Scope.CHART: "Charts",
    Scope.LOG: "Text",
    Scope.DIALOG: "Dialogs",
}


@dataclass(frozen=True)
class Action:
    """One thing that a key does.

    Attributes:
        id: the handler is `action_<id>`.
        keys: Textual's key names, comma-separated; the first one is shown.
        label: one or two words, for the footer.
        help: one sentence, for help and palette.
        footer: shown in the footer while its scope is on.
        destructive: loses work; it must be confirmed.
        everywhere: works also while a text field has the focus (a control key).
    """

    id: str
    scope: Scope
    keys: str
    label: str
    help: str
    footer: bool = False
    destructive: bool = False
    everywhere: bool = False

    @property
    def binding_id(self) -> str:
        """Stable name of the binding, for key maps: `jobs.stop`."""
        return f"{self.scope.value}.{self.id}"

    @property
    def shown_keys(self) -> str:
        """The keys as a person reads them, e.g. `j ↓`."""
        return " ".join(show_key(key) for key in self.keys.split(","))


_A, _J, _O, _N, _T = Scope.APP, Scope.JOBS, Scope.JOB, Scope.NEW, Scope.TEMPLATES
_L, _C, _G, _D = Scope.LIST, Scope.CHART, Scope.LOG, Scope.DIALOG
_F, _H, _R, _U, _B = Scope.FORM, Scope.CHOICE, Scope.GRID, Scope.FOLD, Scope.START

ACTIONS: tuple[Action, ...] = (
    Action("open", _J, "enter", "open", "Open the highlighted job: charts, sites, checkpoints, events, log, settings.", True),
    Action("new", _J, "n", "new", "Set up a new training.", True),
    Action("templates", _J, "t", "templates", "Look at the templates: apply, save, import, export.", True),
    Action("pause", _J, "p", "pause/resume", "Pause the marked jobs, or the highlighted one; if they are paused, let them go on.", True),
    Action("resume", _J, "r", "resume", "Let paused jobs go on, and stopped, failed or lost ones from their newest checkpoint.", True),
    Action("stop", _J, "S", "stop", "Stop the marked jobs, or the highlighted one; each saves a checkpoint and its SAE.", True, True),
    Action("delete", _J, "D", "delete", "Delete the marked jobs, or the highlighted one, with everything they wrote.", True, True),
    Action("retry", _J, "R", "retry", "Train ended jobs again from the start; what the earlier try made is removed.", True, True),
    Action("unload", _J, "u", "unload", "Pause jobs and free their memory; they go on from a checkpoint, through the queue."),
    Action("checkpoint", _J, "b", "save now", "Save a checkpoint of the marked jobs, or the highlighted one, now."),
    Action("earlier", _J, "less_than_sign", "earlier", "Start queued jobs one place earlier."),
    Action("later", _J, "greater_than_sign", "later", "Start queued jobs one place later."),
    Action("mark", _J, "space", "mark", "Mark the highlighted job, to act on several at once."),
    Action("mark_all", _J, "a", "mark all", "Mark all jobs that are shown, or none."),
    Action("mark_state", _J, "A", "mark alike", "Mark all jobs in the highlighted one's state, or none of them."),
    Action("filter", _J, "slash", "filter", "Show only jobs whose name, state, model or architecture has these letters.", True),
    Action("demo", _J, "d", "demo", "Train a small SAE on the bundled model and text: a few minutes, nothing to download.", True),
    Action("sort", _J, "o", "order", "Order the jobs by the next column: newest, state, name, loss, FVU."),
    Action("clone", _J, "e", "edit copy", "Open the form filled with the highlighted job's settings."),
    Action("make_template", _J, "m", "template", "Save the highlighted job's settings as a template."),
    Action("copy", _J, "y", "copy", "Copy the path of the highlighted job's directory."),
    Action("log_axis", _J, "l", "log axis", "Show loss and FVU on a logarithmic axis."),
    Action("smooth", _J, "s", "smooth", "Smooth the curves: off, a little, much."),
    Action("pane_1", _J, "1", "jobs", "Go to the list."),
    Action("pane_2", _J, "2", "charts", "Open the charts of the highlighted job."),
    Action("pane_1", _O, "1", "charts", "Curves of everything that is measured."),
    Action("pane_2", _O, "2", "sites", "The latest figures of every site."),
    Action("pane_3", _O, "3", "checkpoints", "What has been saved."),
    Action("pane_4", _O, "4", "events", "What has happened."),
    Action("pane_5", _O, "5", "log", "What the trainer printed."),
    Action("pane_6", _O, "6", "settings", "What the job was asked to do."),
    Action("next_pane", _O, "right_square_bracket", "next", "The next tab."),
    Action("previous_pane", _O, "left_square_bracket", "previous", "The previous tab."),
    Action("pause", _O, "p", "pause/resume", "Pause this job; if it is paused, let it go on.", True),
    Action("resume", _O, "r", "resume", "Let it go on: from where it holds, or from its newest checkpoint.", True),
    Action("stop", _O, "S", "stop", "Stop this job; it saves a checkpoint and its SAE.", True, True),
    Action("delete", _O, "D", "delete", "Delete this job with everything it wrote.", True, True),
    Action("retry", _O, "R", "retry", "Train it again from the start; what the earlier try made is removed.", True, True),
    Action("unload", _O, "u", "unload", "Pause it and free its memory; it goes on from a checkpoint, through the queue."),
    Action("checkpoint", _O, "b", "save now", "Save a checkpoint now."),
    Action("earlier", _O, "less_than_sign", "earlier", "Start it one place earlier."),
    Action("later", _O, "greater_than_sign", "later", "Start it one place later."),
    Action("log_axis", _O, "l", "log axis", "Show loss and FVU on a logarithmic axis.", True),
    Action("smooth", _O, "s", "smooth", "Smooth the curves: off, a little, much.", True),
    Action("sites", _O, "v", "each site", "Show the mean of all sites, or a curve for each.", True),
    Action("clone", _O, "e", "edit copy", "Open the form filled with this job's settings."),
    Action("make_template", _O, "m", "template", "Save this job's settings as a template."),
    Action("copy", _O, "y", "copy", "Copy what this tab shows: settings as JSON, the marked line, or the job's directory.", True),
    Action("start", _N, "ctrl+g,f5", "start", "Start the training, if everything is in order; else go to what is not.", True, everywhere=True),
    Action("load_template", _N, "ctrl+o", "load", "Fill the form from a template.", True, everywhere=True),
    Action("save_template", _N, "ctrl+s", "save", "Save the form as a template.", True, everywhere=True),
    Action("advanced", _N, "ctrl+t", "advanced", "Show or hide all advanced settings.", True, everywhere=True),
    Action("reset_field", _N, "ctrl+r", "default", "Put the focused field back to its default.", True, everywhere=True),
    Action("reset_form", _N, "ctrl+n", "empty form", "Begin again with defaults (ctrl+z brings back what was there).", everywhere=True),
    Action("undo_form", _N, "ctrl+z", "undo", "Bring back the form as it was before it was loaded or emptied.", everywhere=True),
    Action("apply", _T, "enter", "use", "Open the form filled from the highlighted template.", True),
    Action("filter", _T, "slash", "search", "Show only templates with these letters.", True),
    Action("new", _T, "n", "new", "Set up a new training; the form can be saved as a template."),
    Action("favorite", _T, "f", "favourite", "Make it a favourite, or an ordinary one again.", True),
    Action("rename", _T, "r", "rename", "Give it another name or description.", True),
    Action("duplicate", _T, "d", "duplicate", "Make a copy of it.", True),
    Action("delete", _T, "D", "delete", "Delete it (z brings it back).", True, True),
    Action("undo", _T, "z", "undo", "Take back the last change of the list.", True),
    Action("import_file", _T, "i", "import", "Bring templates in from a JSON file.", True),
    Action("export_file", _T, "e", "export", "Write the marked templates, or the highlighted one, to a JSON file.", True),
    Action("mark", _T, "space", "mark", "Mark the highlighted template, for export."),
    Action("mark_all", _T, "a", "mark all", "Mark all templates that are shown, or none."),
    Action("copy", _T, "y", "copy", "Copy it as JSON."),
    Action("next_value", Scope.SETTINGS, "right,l,space,enter", "change", "The next value of the highlighted setting.", True),
    Action("previous_value", Scope.SETTINGS, "left,h", "back", "The value before."),
    Action("reset_value", Scope.SETTINGS, "x", "default", "Put the highlighted setting back to its default.", True),
    Action("next_field", _F, "down,enter", "next", "The next field."),
    Action("previous_field", _F, "up", "before", "The field before."),
    Action("next_section", _F, "pagedown", "next section", "The first field of the next section."),
    Action("previous_section", _F, "pageup", "section before", "The first field of the section before."),
    Action("pick", _F, "f4", "choose", "Choose the model or dataset from a list (enter does it too)."),
    Action("next_choice", _H, "right,l,space", "next", "The next choice."),
    Action("previous_choice", _H, "left,h", "before", "The choice before."),
    Action("next_row", _H, "j", "down", "The next field."),
    Action("previous_row", _H, "k", "up", "The field before."),
    Action("select_item", _R, "space,enter", "select", "Select it, or not."),
    Action("all", _R, "a", "all", "Select all."),
    Action("clear", _R, "x", "clear", "Select none."),
    Action("left", _R, "left,h", "left", "To the left."),
    Action("right", _R, "right,l", "right", "To the right."),
    Action("up", _R, "up,k", "up", "The row above, or the field before."),
    Action("down", _R, "down,j", "down", "The row below, or the next field."),
    Action("fold", _U, "enter,space,right,left", "open", "Show what is folded away here, or hide it."),
    Action("press", _B, "enter,space", "start", "Start the training."),
    Action("pick_next", Scope.PICK, "down", "down", "The next line."),
    Action("pick_before", Scope.PICK, "up", "up", "The line before."),
    Action("cancel", Scope.PICK, "escape", "cancel", "Choose nothing."),
    Action("next_word", Scope.WORDS, "down", "next", "The next field."),
    Action("word_before", Scope.WORDS, "up", "before", "The field before."),
    Action("cancel", Scope.WORDS, "escape", "cancel", "Leave everything as it is."),
    Action("copy", Scope.REPORT, "y", "copy", "Copy it."),
    Action("close", Scope.REPORT, "escape,q,enter", "close", "Close it."),
    Action("close", Scope.HELP, "escape,q,question_mark,f1", "close", "Back to the screen beneath."),
    Action("cursor_down", _L, "j,down", "down", "The next line."),
    Action("cursor_up", _L, "k,up", "up", "The line before."),
    Action("first", _L, "g,home", "top", "The first line."),
    Action("last", _L, "G,end", "end", "The last line."),
    Action("page_down", _L, "pagedown,ctrl+d", "page down", "A page further."),
    Action("page_up", _L, "pageup,ctrl+u", "page up", "A page back."),
    Action("inspect_left", _C, "left", "inspect", "Read the values one column to the left."),
    Action("inspect_right", _C, "right", "inspect", "Read the values one column to the right."),
    Action("zoom_in", _C, "plus", "zoom in", "Show half as many steps, around the inspected one or the newest."),
    Action("zoom_out", _C, "minus", "zoom out", "Show twice as many steps."),
    Action("zoom_all", _C, "equals_sign", "all", "Show all steps again."),
    Action("expand", _C, "enter", "enlarge", "Give the focused chart all the room, or put it back."),
    Action("search", _G, "slash", "search", "Find letters in the text.", True),
    Action("next_match", _G, "n", "next match", "The next line with these letters."),
    Action("previous_match", _G, "N", "match before", "The line before with these letters."),
    Action("follow", _G, "f", "follow", "Stay at the end as new lines come.", True),
    Action("wrap", _G, "w", "wrap", "Break long lines, or cut them.", True),
    Action("back", _A, "escape", "back", "Back to where you came from; leaves a filter or a zoom first.", True),
    Action("palette", _A, "ctrl+p,colon", "commands", "Find an action by its name.", True),
    Action("help", _A, "question_mark,f1", "help", "The keys that work here.", True),
    Action("theme", _A, "f2", "theme", "The next colour theme."),
    Action("ascii", _A, "f3", "ASCII charts", "Draw charts with ASCII letters, or with braille dots."),
    Action("settings", _A, "comma", "settings", "Theme, refresh rate, and whether killed jobs are started again by themselves."),
    Action("leave", _A, "q", "leave", "Leave saetui. Jobs go on without it.", True),
    Action("focus_next", _A, "tab", "next pane", "Go to the next pane or field."),
    Action("focus_previous", _A, "shift+tab", "pane before", "Go to the pane or field before."),
    Action("yes", _D, "y", "yes", "Do it."),
    Action("no", _D, "n,escape", "no", "Leave everything as it is."),
    Action("left", _D, "left,h", "", "The button to the left."),
    Action("right", _D, "right,l", "", "The button to the right."),
)  # fmt: skip

BY_BINDING: dict[str, Action] = {action.binding_id: action for action in ACTIONS}

_KEY_NAMES = {
    "enter": "⏎", "escape": "esc", "space": "space", "slash": "/", "question_mark": "?", "colon": ":", "plus": "+",
    "minus": "-", "equals_sign": "=", "down": "↓", "up": "↑", "left": "←", "right": "→", "pagedown": "pgdn",
    "pageup": "pgup", "left_square_bracket": "[", "right_square_bracket": "]", "f1": "F1", "f2": "F2", "f3": "F3",
    "shift+tab": "⇧tab", "comma": ",", "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip


def show_key(key: str) -> str:
    """A key as a person reads it: `^p` for ctrl+p."""
    if key in _KEY_NAMES:
        return _KEY_NAMES[key]
    return f"^{key.removeprefix('ctrl+')}" if key.startswith("ctrl+") else key


def actions_in(*scopes: Scope) -> list[Action]:
    """The actions of some scopes, in the table's order."""
    return [action for action in ACTIONS if action.scope in scopes]


def bindings_for(*scopes: Scope) -> list[Binding]:
    """Textual's bindings for a class whose `action_<id>` methods are the handlers."""
    return bindings_of(actions_in(*scopes))


def bindings_of(actions: Iterable[Action]) -> list[Binding]:
    """Textual's bindings for these actions."""
    return [
        Binding(
            action.keys,
            action.id,
            action.label,
            show=action.footer,
            key_display=show_key(action.keys.split(",")[0]),
            tooltip=action.help,
            id=action.binding_id,
            priority=action.everywhere,
        )
        for action in actions
    ]
