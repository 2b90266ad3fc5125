"""What the form asks for: the fields of a spec, and the hyperparameters as rows of the same kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from saetui.spec.architectures import ARCHITECTURES, SUMMARIES
from saetui.spec.hyperparameters import HYPERPARAMETERS, Hyperparameter, Kind, siblings
from saetui.spec.training_spec import DTYPES

PREFIX = "hyperparameters."


class Entry(Enum):
    """How a value is entered."""

    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    SWITCH = "switch"


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One row of the form.

    Attributes:
        field: its name as in `Problem.field`, e.g. `dataset.source`, `hyperparameters.k`.
        label: as people read it.
        title: as the spec and `-o` name it.
        usual: what an empty field stands for, as it is typed.
        usual_means: the same in words, where it follows from something else.
        choices: of a choice; a text field that lists suggestions has none.
        wide: the value needs much room, and can be picked from a list.
        linked: another word for the same quantity as the row above.
    """

    field: str
    label: str
    title: str
    entry: Entry
    help: str
    unit: str = ""
    usual: str = ""
    usual_means: str = ""
    range: str = ""
    choices: tuple[str, ...] = ()
    advanced: bool = False
    wide: bool = False
    linked: bool = False


MODEL_FIELDS: tuple[FormField, ...] = (
    FormField(
        field="model", label="model", title="model", entry=Entry.TEXT, wide=True, usual="",
        help="The language model whose activations are read: the bundled one, one from the local Hub cache, or the path "
             "of a directory. Enter lists what is here; → completes a path.",
    ),
    FormField(
        field="dataset.source", label="dataset", title="dataset", entry=Entry.TEXT, wide=True,
        help="The text that is run through the model: the bundled one, or the path of a file or directory (.txt .md .py "
             ".json .jsonl .csv .tsv .parquet .arrow; .gz .bz2 .xz .zst). Enter lists what is here; → completes a path.",
    ),
    FormField(
        field="dataset.context_length", label="context length", title="context_length", entry=Entry.NUMBER,
        unit="tokens", usual="128", range="2 to the model's limit",
        help="How many tokens the model reads at once; documents are packed to this length. "
             "Longer shows it more context and takes more memory.",
    ),
    FormField(
        field="name", label="name", title="name", entry=Entry.TEXT, wide=True, usual_means="made from the rest",
        help="What the job is called in lists and on the command line. Leave it empty and a name is made from model, "
             "layers and architecture; a taken name gets a number.",
    ),
    FormField(
        field="dataset.text_field", label="text field", title="text_field", entry=Entry.TEXT, usual="text",
        advanced=True,
        help="Which field of a row or column of a table holds the text, its tokens or a conversation; `meta.text` is a "
             "field inside another. Plain text files have none.",
    ),
    FormField(
        field="dataset.split", label="split", title="split", entry=Entry.TEXT, usual="train", advanced=True,
        help="Which part of the dataset is read: the files whose names say it, such as train-00000.parquet. Where names say "
             "none, train is all of them.",
    ),
    FormField(
        field="revision", label="revision", title="revision", entry=Entry.TEXT, usual_means="the newest", advanced=True,
        help="Which version of a model from the Hub cache: a branch, a tag or a commit.",
    ),
    FormField(
        field="device", label="device", title="device", entry=Entry.TEXT, usual="auto", range="auto, cpu, cuda, cuda:N",
        advanced=True,
        help="Where the training runs. auto takes the GPU where there is one that works.",
    ),
    FormField(
        field="dtype", label="dtype", title="dtype", entry=Entry.CHOICE, usual="auto", choices=DTYPES, advanced=True,
        range=", ".join(DTYPES),
        help="The number format of the language model. auto is bfloat16 on a GPU and float32 elsewhere; "
             "the SAE's own weights are always float32.",
    ),
    FormField(
        field="seed", label="seed", title="seed", entry=Entry.NUMBER, usual="0", range="at least 0", advanced=True,
        help="Where every random choice begins: the same spec with the same seed gives the same SAE.",
    ),
    FormField(
        field="start_from", label="start from", title="start_from", entry=Entry.TEXT, wide=True,
        usual_means="scratch", advanced=True,
        help="An SAE whose weights the training goes on from: the name of an imported one, or the path of a directory. "
             "Its architecture and sizes must be those of this form.",
    ),
)  # fmt: skip

ARCHITECTURE_FIELD = FormField(
    field="architecture",
    label="architecture",
    title="architecture",
    entry=Entry.CHOICE,
    usual="topk",
    choices=ARCHITECTURES,
    range=", ".join(ARCHITECTURES),
    help="What the SAE is and how it keeps its codes sparse. "
    + " ".join(f"{name}: {summary}." for name, summary in SUMMARIES.items()),
)

HOOK_POINTS_HELP = (
    "Where in each layer activations are read: resid_pre and resid_post are the stream before and after the layer, "
    "attn_out, mlp_in and mlp_out its parts. Each layer × hook point gets an SAE of its own; a transcoder has mlp_in alone."
)
LAYERS_HELP = (
    "Which layers get an SAE; 0 is the first. The middle of the model is a good place to begin. "
    "All are trained in one go from one forward pass, and memory grows with each."
)


def hyperparameter_field(row: Hyperparameter, architecture: str) -> FormField:
    """A row of the table of hyperparameters as a row of the form."""
    entries = {Kind.SWITCH: Entry.SWITCH, Kind.CHOICE: Entry.CHOICE, Kind.WIDTHS: Entry.TEXT}
    entry = entries.get(row.kind, Entry.NUMBER)
    others = siblings(row.name, architecture)
    default = row.default_for(architecture)
    return FormField(
        field=PREFIX + row.name,
        label=label_of(row.name),
        title=row.name,
        entry=entry,
        help=row.help,
        unit=row.unit,
        usual=row.show(default),
        usual_means=row.none_means if default is None else "",
        range=row.range_text(),
        choices=("true", "false") if entry is Entry.SWITCH else row.choices,
        advanced=row.advanced,
        linked=bool(others) and list(HYPERPARAMETERS).index(row.name) > min(map(list(HYPERPARAMETERS).index, others)),
    )


def label_of(name: str) -> str:
    """The name of a hyperparameter as people read it: `steps` for `num_steps`."""
    return name.removeprefix("num_").replace("_", " ")
