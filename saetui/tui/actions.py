"""Everything that a key can do, in one table, which makes bindings, footer, help and palette.

An action's handler is the method `action_<id>` of the screen or widget whose scope it is in. Destructive actions have a
capital letter and ask first. No action uses ctrl+m, ctrl+i, ctrl+h, alt+enter or shift+enter: terminals fold them into
other keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from textual.binding import Binding


class Scope(Enum):
    """Where an action can be used: everywhere, on one screen, or in one kind of widget. With its title in the help."""

    APP = ("app", "Everywhere")
    JOBS = ("jobs", "Jobs")
    JOB = ("job", "Job")
    NEW = ("new", "New training")
    TEMPLATES = ("templates", "Templates")
    SETTINGS = ("settings", "Settings")
    FORM = ("form", "Forms")
    CHOICE = ("choice", "Choices")
    GRID = ("grid", "Layers and hook points")
    FOLD = ("fold", "Hidden settings")
    START = ("start", "Start button")
    PICK = ("pick", "Choosing from a list")
    WORDS = ("words", "Dialogs with text")
    FILLING = ("filling", "Dialogs to fill in")
    REPORT = ("report", "Reports")
    HELP = ("help", "Help")
    LIST = ("list", "Lists")
    CHART = ("chart", "Charts")
    CHART_CHOICE = ("chart_choice", "Choosing charts")
    LOG = ("log", "Text")
    DIALOG = ("dialog", "Dialogs")

    def __init__(self, key: str, title: str) -> None:
        self.key = key
        self.title = title


@dataclass(frozen=True)
class Action:
    """One thing that a key does.

    Attributes:
        id: the handler is `action_<id>`.
        keys: Textual's key names, comma-separated; the first one is shown. Empty: only the palette has the action.
        label: one or two words, for the footer.
        help: one sentence, for help and palette.
        footer: shown in the footer while its scope is active.
        destructive: loses work, so it must be confirmed.
        everywhere: also works while a text field has the focus (a control key).
    """

    scope: Scope
    id: str
    keys: str
    label: str
    help: str
    footer: bool = False
    destructive: bool = False
    everywhere: bool = False

    @property
    def binding_id(self) -> str:
        """Stable name of the binding, for key maps: `jobs.stop`."""
        return f"{self.scope.key}.{self.id}"

    @property
    def shown_keys(self) -> str:
        """The keys as a person reads them, e.g. `j ↓`."""
        return " ".join(show_key(key) for key in self.keys.split(",") if key)


ACTIONS: tuple[Action, ...] = (
    Action(Scope.JOBS, "open", "enter", "open", "Open the highlighted job: charts, sites, checkpoints, events, log, settings.", True),
    Action(Scope.JOBS, "new", "n", "new", "Set up a new training.", True),
    Action(Scope.JOBS, "templates", "t", "templates", "Open the templates: use, save, import, export.", True),
    Action(Scope.JOBS, "pause", "p", "pause/resume", "Pause the marked jobs, or the highlighted one; resume them if they are paused.", True),
    Action(Scope.JOBS, "resume", "r", "resume", "Resume paused jobs, and stopped, failed or lost ones from their newest checkpoint.", True),
    Action(Scope.JOBS, "stop", "S", "stop", "Stop the marked jobs, or the highlighted one; each saves a checkpoint and its SAE.", True, True),
    Action(Scope.JOBS, "delete", "D", "delete", "Delete the marked jobs, or the highlighted one, with everything they wrote.", True, True),
    Action(Scope.JOBS, "retry", "R", "retry", "Train ended jobs again from the start; the results of the earlier attempt are removed.", True, True),
    Action(Scope.JOBS, "unload", "u", "unload", "Pause jobs and free their memory; they resume from a checkpoint, through the queue."),
    Action(Scope.JOBS, "checkpoint", "b", "save now", "Save a checkpoint of the marked jobs, or the highlighted one, now."),
    Action(Scope.JOBS, "earlier", "less_than_sign", "earlier", "Start queued jobs one place earlier."),
    Action(Scope.JOBS, "later", "greater_than_sign", "later", "Start queued jobs one place later."),
    Action(Scope.JOBS, "mark", "space", "mark", "Mark the highlighted job, to act on several jobs at once."),
    Action(Scope.JOBS, "mark_all", "a", "mark all", "Mark all listed jobs, or unmark them."),
    Action(Scope.JOBS, "mark_state", "A", "mark alike", "Mark all jobs in the same state as the highlighted one, or unmark them."),
    Action(Scope.JOBS, "filter", "slash", "filter", "List only jobs with these words, fields (state:failed) and figures (fvu<0.3).", True),
    Action(Scope.JOBS, "first_demo", "d", "demo", "Train a small SAE on the bundled model and text: a few minutes, nothing to download.", True),
    Action(Scope.JOBS, "demo", "", "demo", "Train a small SAE on the bundled model and text: a few minutes, nothing to download."),
    Action(Scope.JOBS, "sort", "o", "order", "Order the jobs by the next column: state, newest, name, loss, FVU, and all others."),
    Action(Scope.JOBS, "turn_order", "O", "turn round", "Turn the order of the jobs round."),
    Action(Scope.JOBS, "clone", "e", "edit copy", "Open the form with the highlighted job's settings."),
    Action(Scope.JOBS, "make_template", "m", "template", "Save the highlighted job's settings as a template."),
    Action(Scope.JOBS, "export", "x", "export", "Write the SAEs of the highlighted job to a directory, for SAELens or another tool."),
    Action(Scope.JOBS, "copy", "y", "copy", "Copy the path of the highlighted job's directory."),
    Action(Scope.JOBS, "log_axis", "l", "log axis", "Show loss and FVU on a logarithmic axis."),
    Action(Scope.JOBS, "smooth", "s", "smooth", "Smooth the curves: off, a little, much."),
    Action(Scope.JOBS, "more_charts", "full_stop", "more charts", "Show the next page of charts.", True),
    Action(Scope.JOBS, "choose_charts", "w", "which charts", "Choose which charts come first; the choice is kept."),
    Action(Scope.JOBS, "pane_1", "1", "jobs", "Go to the list."),
    Action(Scope.JOBS, "pane_2", "2", "charts", "Open the charts of the highlighted job."),
    Action(Scope.JOB, "pane_1", "1", "charts", "Curves of all metrics."),
    Action(Scope.JOB, "pane_2", "2", "sites", "The newest figures of each site."),
    Action(Scope.JOB, "pane_3", "3", "checkpoints", "The saved checkpoints."),
    Action(Scope.JOB, "pane_4", "4", "events", "The events of the training."),
    Action(Scope.JOB, "pane_5", "5", "log", "The output of the trainer."),
    Action(Scope.JOB, "pane_6", "6", "settings", "The settings of the job."),
    Action(Scope.JOB, "next_pane", "right_square_bracket", "next", "The next tab."),
    Action(Scope.JOB, "previous_pane", "left_square_bracket", "previous", "The previous tab."),
    Action(Scope.JOB, "pause", "p", "pause/resume", "Pause this job; resume it if it is paused.", True),
    Action(Scope.JOB, "resume", "r", "resume", "Resume this job: where it is paused, or from its newest checkpoint.", True),
    Action(Scope.JOB, "stop", "S", "stop", "Stop this job; it saves a checkpoint and its SAE.", True, True),
    Action(Scope.JOB, "delete", "D", "delete", "Delete this job with everything it wrote.", True, True),
    Action(Scope.JOB, "retry", "R", "retry", "Train it again from the start; the results of the earlier attempt are removed.", True, True),
    Action(Scope.JOB, "unload", "u", "unload", "Pause it and free its memory; it resumes from a checkpoint, through the queue."),
    Action(Scope.JOB, "checkpoint", "b", "save now", "Save a checkpoint now."),
    Action(Scope.JOB, "earlier", "less_than_sign", "earlier", "Start it one place earlier."),
    Action(Scope.JOB, "later", "greater_than_sign", "later", "Start it one place later."),
    Action(Scope.JOB, "log_axis", "l", "log axis", "Show loss and FVU on a logarithmic axis.", True),
    Action(Scope.JOB, "smooth", "s", "smooth", "Smooth the curves: off, a little, much.", True),
    Action(Scope.JOB, "more_charts", "full_stop", "more charts", "Show the next page of charts.", True),
    Action(Scope.JOB, "choose_charts", "w", "which charts", "Choose which charts come first; the choice is kept."),
    Action(Scope.JOB, "sites", "v", "each site", "Show the mean of all sites, or a curve for each.", True),
    Action(Scope.JOB, "clone", "e", "edit copy", "Open the form with this job's settings."),
    Action(Scope.JOB, "make_template", "m", "template", "Save this job's settings as a template."),
    Action(Scope.JOB, "keep_checkpoints", "K", "keep", "Choose which checkpoints are kept; the dialog says which would be deleted.", destructive=True),
    Action(Scope.JOB, "export", "x", "export", "Write the SAEs of this job to a directory, for SAELens or another tool."),
    Action(Scope.JOB, "copy", "y", "copy", "Copy from this tab: the settings as JSON, the highlighted line, or the path of the job's directory.", True),
    Action(Scope.NEW, "start", "ctrl+g,f5", "start", "Start the training; where something is wrong, go to the first error.", True, everywhere=True),
    Action(Scope.NEW, "load_template", "ctrl+o", "load", "Fill the form from a template.", True, everywhere=True),
    Action(Scope.NEW, "save_template", "ctrl+s", "save", "Save the form as a template.", True, everywhere=True),
    Action(Scope.NEW, "advanced", "ctrl+t", "advanced", "Show or hide all advanced settings.", True, everywhere=True),
    Action(Scope.NEW, "reset_field", "ctrl+r", "default", "Reset the focused field to its default.", True, everywhere=True),
    Action(Scope.NEW, "reset_form", "ctrl+n", "empty form", "Empty the form (ctrl+z brings its content back).", everywhere=True),
    Action(Scope.NEW, "show_estimate", "f6", "memory", "The memory of each part, what is free, and the time.", everywhere=True),
    Action(Scope.NEW, "edit_as_text", "f7", "editor", "Edit the settings as JSON in your editor ($VISUAL or $EDITOR), and take them back.", everywhere=True),
    Action(Scope.NEW, "undo_form", "ctrl+z", "undo", "Bring back the form as it was before it was loaded or emptied.", everywhere=True),
    Action(Scope.TEMPLATES, "apply", "enter", "use", "Open the form with the highlighted template.", True),
    Action(Scope.TEMPLATES, "filter", "slash", "search", "List only templates that contain a text.", True),
    Action(Scope.TEMPLATES, "new", "n", "new", "Set up a new training; the form can be saved as a template."),
    Action(Scope.TEMPLATES, "favorite", "f", "favourite", "Make it a favourite, or an ordinary template again.", True),
    Action(Scope.TEMPLATES, "rename", "r", "rename", "Change its name and description.", True),
    Action(Scope.TEMPLATES, "duplicate", "d", "duplicate", "Make a copy of it.", True),
    Action(Scope.TEMPLATES, "delete", "D", "delete", "Delete it (z brings it back).", True, True),
    Action(Scope.TEMPLATES, "undo", "z", "undo", "Undo the last change of the list.", True),
    Action(Scope.TEMPLATES, "import_file", "i", "import", "Import templates from a JSON file.", True),
    Action(Scope.TEMPLATES, "export_file", "e", "export", "Export the marked templates, or the highlighted one, to a JSON file.", True),
    Action(Scope.TEMPLATES, "mark", "space", "mark", "Mark the highlighted template, for export."),
    Action(Scope.TEMPLATES, "mark_all", "a", "mark all", "Mark all listed templates, or unmark them."),
    Action(Scope.TEMPLATES, "copy", "y", "copy", "Copy it as JSON."),
    Action(Scope.SETTINGS, "next_value", "right,l,space,enter", "change", "The next value of the highlighted setting.", True),
    Action(Scope.SETTINGS, "previous_value", "left,h", "back", "The previous value of the highlighted setting."),
    Action(Scope.SETTINGS, "reset_value", "x", "default", "Reset the highlighted setting to its default.", True),
    Action(Scope.FORM, "next_field", "down,enter", "next", "The next field."),
    Action(Scope.FORM, "previous_field", "up", "previous", "The previous field."),
    Action(Scope.FORM, "next_section", "pagedown", "next section", "The first field of the next section."),
    Action(Scope.FORM, "previous_section", "pageup", "previous section", "The first field of the previous section."),
    Action(Scope.FORM, "pick", "f4", "choose", "Choose the model or dataset from a list (as enter does)."),
    Action(Scope.CHOICE, "next_choice", "right,l,space", "next", "The next choice."),
    Action(Scope.CHOICE, "previous_choice", "left,h", "previous", "The previous choice."),
    Action(Scope.CHOICE, "next_row", "j", "down", "The next field."),
    Action(Scope.CHOICE, "previous_row", "k", "up", "The previous field."),
    Action(Scope.GRID, "select_item", "space,enter", "select", "Select it, or unselect it."),
    Action(Scope.GRID, "all", "a", "all", "Select all."),
    Action(Scope.GRID, "clear", "x", "clear", "Select none."),
    Action(Scope.GRID, "invert", "i", "invert", "Select what is not selected, and only that."),
    Action(Scope.GRID, "every_other", "e", "every other", "Select every other one, from the highlighted one on."),
    Action(Scope.GRID, "range", "r", "range", "Type which ones: 0-11, or 2, 5, 8-10, or 0-23:4 for every fourth."),
    Action(Scope.GRID, "left", "left,h", "left", "Go left."),
    Action(Scope.GRID, "right", "right,l", "right", "Go right."),
    Action(Scope.GRID, "up", "up,k", "up", "The row above, or the previous field."),
    Action(Scope.GRID, "down", "down,j", "down", "The row below, or the next field."),
    Action(Scope.FOLD, "fold", "enter,space,right,left", "open", "Show the hidden settings of this section, or hide them."),
    Action(Scope.START, "press", "enter,space", "start", "Start the training."),
    Action(Scope.PICK, "pick_next", "down", "down", "The next line."),
    Action(Scope.PICK, "pick_before", "up", "up", "The previous line."),
    Action(Scope.PICK, "cancel", "escape", "cancel", "Close without a choice."),
    Action(Scope.WORDS, "next_word", "down", "next", "The next field."),
    Action(Scope.WORDS, "word_before", "up", "previous", "The previous field."),
    Action(Scope.WORDS, "cancel", "escape", "cancel", "Close without a change."),
    Action(Scope.FILLING, "do_it", "enter", "do it", "Do what the dialog says."),
    Action(Scope.REPORT, "copy", "y", "copy", "Copy this text."),
    Action(Scope.REPORT, "close", "escape,q,enter", "close", "Close this dialog."),
    Action(Scope.HELP, "pages", "enter,p", "pages", "Choose a page about how saetui works: training, figures, files and more."),
    Action(Scope.HELP, "close", "escape,q,question_mark,f1", "close", "Close the help."),
    Action(Scope.LIST, "cursor_down", "j,down", "down", "The next line."),
    Action(Scope.LIST, "cursor_up", "k,up", "up", "The previous line."),
    Action(Scope.LIST, "first", "g,home", "top", "The first line."),
    Action(Scope.LIST, "last", "G,end", "end", "The last line."),
    Action(Scope.LIST, "page_down", "pagedown,ctrl+d", "page down", "A page further."),
    Action(Scope.LIST, "page_up", "pageup,ctrl+u", "page up", "A page back."),
    Action(Scope.CHART, "inspect_left", "left", "inspect", "Read the values one column further left."),
    Action(Scope.CHART, "inspect_right", "right", "inspect", "Read the values one column further right."),
    Action(Scope.CHART, "zoom_in", "plus", "zoom in", "Show half as many steps, around the inspected one or the newest."),
    Action(Scope.CHART, "zoom_out", "minus", "zoom out", "Show twice as many steps."),
    Action(Scope.CHART, "zoom_all", "equals_sign", "all", "Show all steps."),
    Action(Scope.CHART, "next_page", "pagedown", "next", "The next page of charts."),
    Action(Scope.CHART, "previous_page", "pageup", "previous", "The page of charts before."),
    Action(Scope.CHART, "expand", "enter", "enlarge", "Give the focused chart all the room, or put it back."),
    Action(Scope.CHART_CHOICE, "choose", "space", "choose", "Show the highlighted chart among the first, or no longer."),
    Action(Scope.CHART_CHOICE, "reset", "x", "default", "Show the charts as they stand by default."),
    Action(Scope.CHART_CHOICE, "keep", "enter", "keep", "Keep the choice."),
    Action(Scope.CHART_CHOICE, "cancel", "escape", "cancel", "Close without a change."),
    Action(Scope.LOG, "search", "slash", "search", "Find a text.", True),
    Action(Scope.LOG, "next_match", "n", "next match", "The next line that contains the text."),
    Action(Scope.LOG, "previous_match", "N", "previous match", "The previous line that contains the text."),
    Action(Scope.LOG, "follow", "f", "follow", "Follow the end as new lines come.", True),
    Action(Scope.LOG, "wrap", "w", "wrap", "Wrap long lines, or cut them.", True),
    Action(Scope.APP, "back", "escape", "back", "Back to the previous screen; leaves a filter or a zoom first.", True),
    Action(Scope.APP, "palette", "ctrl+p,colon", "commands", "Find an action by its name.", True),
    Action(Scope.APP, "help", "question_mark,f1", "help", "The keys of this screen.", True),
    Action(Scope.APP, "theme", "f2", "theme", "The next colour theme."),
    Action(Scope.APP, "ascii", "f3", "ASCII charts", "Draw charts with ASCII letters, or with braille dots."),
    Action(Scope.APP, "settings", "comma", "settings", "Theme, refresh rate, and whether jobs that were killed are resumed automatically."),
    Action(Scope.APP, "suspend_process", "ctrl+z", "suspend", "Go back to the shell for a while; `fg` brings saetui back."),
    Action(Scope.APP, "leave", "q", "leave", "Leave saetui. Jobs go on without it.", True),
    Action(Scope.APP, "focus_next", "tab", "next pane", "Go to the next pane or field."),
    Action(Scope.APP, "focus_previous", "shift+tab", "previous pane", "Go to the previous pane or field."),
    Action(Scope.DIALOG, "yes", "y", "yes", "Do it."),
    Action(Scope.DIALOG, "no", "n,escape", "no", "Close without a change."),
    Action(Scope.DIALOG, "left", "left,h", "", "The button to the left."),
    Action(Scope.DIALOG, "right", "right,l", "", "The button to the right."),
)  # fmt: skip

BY_BINDING: dict[str, Action] = {action.binding_id: action for action in ACTIONS}

_KEY_NAMES = {
    "enter": "⏎", "escape": "esc", "space": "space", "slash": "/", "question_mark": "?", "colon": ":", "plus": "+",
    "minus": "-", "equals_sign": "=", "down": "↓", "up": "↑", "left": "←", "right": "→", "pagedown": "pgdn",
    "pageup": "pgup", "left_square_bracket": "[", "right_square_bracket": "]", "f1": "F1", "f2": "F2", "f3": "F3",
    "shift+tab": "⇧tab", "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">",
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
        if action.keys
    ]
