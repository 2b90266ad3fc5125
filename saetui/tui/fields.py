"""The fields of the form: those of a spec, and the hyperparameters as rows of the same kind."""

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
        field: the name as in `Problem.field`, e.g. `dataset.source`, `hyperparameters.k`.
        default: the value of an empty field, as it is typed.
        default_means: the same in words, where it follows from other fields.
        choices: of a choice.
        wide: the value needs much room, and can be picked from a list.
        linked: another name for the quantity of the row above.
    """

    field: str
    entry: Entry
    help: str
    unit: str = ""
    default: str = ""
    default_means: str = ""
    range: str = ""
    choices: tuple[str, ...] = ()
    advanced: bool = False
    wide: bool = False
    linked: bool = False

    @property
    def title(self) -> str:
        """The field as the spec and `-o` name it."""
        return "dataset" if self.field == "dataset.source" else self.field.rpartition(".")[2]

    @property
    def label(self) -> str:
        """The field as people read it."""
        return label_of(self.title)


MODEL_FIELDS: tuple[FormField, ...] = (
    FormField(
        field="model", entry=Entry.TEXT, wide=True,
        help="The language model whose activations are read: the bundled one, one from the local Hub cache, or the path "
             "of a directory. Enter lists the models on this machine; → completes a path.",
    ),
    FormField(
        field="dataset.source", entry=Entry.TEXT, wide=True,
        help="The text that the model reads: the bundled one, or the path of a file or directory (.txt .md .py "
             ".json .jsonl .csv .tsv .parquet .arrow; .gz .bz2 .xz .zst). Enter lists the datasets on this machine; "
             "→ completes a path.",
    ),
    FormField(
        field="dataset.context_length", entry=Entry.NUMBER, unit="tokens", default="128",
        range="2 to the model's limit",
        help="How many tokens the model reads at once; documents are packed to this length. "
             "A longer context takes more memory.",
    ),
    FormField(
        field="name", entry=Entry.TEXT, wide=True, default_means="made from the rest",
        help="The job's name in lists and on the command line. An empty field stands for a name made from model, "
             "layers and architecture; a taken name gets a number.",
    ),
    FormField(
        field="dataset.text_field", entry=Entry.TEXT, default="text", advanced=True,
        help="The field of a row or column of a table that holds the text, its tokens or a conversation; `meta.text` is a "
             "field inside another. Plain text files have none.",
    ),
    FormField(
        field="dataset.split", entry=Entry.TEXT, default="train", advanced=True,
        help="The part of the dataset that is read: the files with this word in their names, such as train-00000.parquet. "
             "Where no name has such a word, train is all files.",
    ),
    FormField(
        field="revision", entry=Entry.TEXT, default_means="the newest", advanced=True,
        help="The version of a model from the Hub cache: a branch, a tag or a commit.",
    ),
    FormField(
        field="device", entry=Entry.TEXT, default="auto", range="auto, cpu, cuda, cuda:N", advanced=True,
        help="The device of the training. auto takes the GPU if there is one that works.",
    ),
    FormField(
        field="dtype", entry=Entry.CHOICE, default="auto", choices=DTYPES, advanced=True, range=", ".join(DTYPES),
        help="The number format of the language model. auto is bfloat16 on a GPU and float32 elsewhere; "
             "the SAE's own weights are always float32.",
    ),
    FormField(
        field="seed", entry=Entry.NUMBER, default="0", range="at least 0", advanced=True,
        help="The start of all random choices: the same spec with the same seed gives the same SAE.",
    ),
    FormField(
        field="start_from", entry=Entry.TEXT, wide=True, default_means="scratch", advanced=True,
        help="An SAE whose weights the training begins with: the name of an imported one, or the path of a directory. "
             "Its architecture and sizes must be those of this form.",
    ),
)  # fmt: skip

ARCHITECTURE_FIELD = FormField(
    field="architecture",
    entry=Entry.CHOICE,
    default="topk",
    choices=ARCHITECTURES,
    range=", ".join(ARCHITECTURES),
    help="The kind of SAE, and how its codes are kept sparse. "
    + " ".join(f"{name}: {summary}." for name, summary in SUMMARIES.items()),
)

HOOK_POINTS_HELP = (
    "Where in each layer activations are read: resid_pre and resid_post are the stream before and after the layer, "
    "attn_out, mlp_in and mlp_out its parts. Each layer × hook point gets an SAE of its own; a transcoder takes only mlp_in."
)
LAYERS_HELP = (
    "The layers that get an SAE; 0 is the first. The middle of the model is a good start. "
    "All are trained together from one forward pass, and memory grows with each."
)


def hyperparameter_field(row: Hyperparameter, architecture: str) -> FormField:
    """A row of the table of hyperparameters as a row of the form."""
    entries = {Kind.SWITCH: Entry.SWITCH, Kind.CHOICE: Entry.CHOICE, Kind.WIDTHS: Entry.TEXT}
    entry = entries.get(row.kind, Entry.NUMBER)
    others = siblings(row.name, architecture)
    default = row.default_for(architecture)
    return FormField(
        field=PREFIX + row.name,
        entry=entry,
        help=row.help,
        unit=row.unit,
        default=row.show(default),
        default_means=row.none_means if default is None else "",
        range=row.range_text(),
        choices=("true", "false") if entry is Entry.SWITCH else row.choices,
        advanced=row.advanced,
        linked=bool(others) and list(HYPERPARAMETERS).index(row.name) > min(map(list(HYPERPARAMETERS).index, others)),
    )


def label_of(name: str) -> str:
    """The name of a hyperparameter as people read it: `steps` for `num_steps`."""
    return name.removeprefix("num_").replace("_", " ")
