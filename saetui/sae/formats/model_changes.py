"""What another tool did to a model before an SAE read it, as the SAE's metadata say.

SAELens passes `model_from_pretrained_kwargs` on to TransformerLens, which can change a model so that it predicts the same
with other activations inside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saetui.errors import InvalidInput

_KWARGS = "model_from_pretrained_kwargs"

_NO_EFFECT = frozenset(
    {
        # These change the model, but nothing at the sites that saetui reads.
        "center_unembed", "fold_value_biases", "refactor_factored_attn_matrices", "first_n_layers", "n_ctx",
        # These say where and how it is computed; a type's rounding is in no evaluation's digits.
        "dtype", "torch_dtype", "device", "device_map", "n_devices", "max_memory", "move_to_device", "low_cpu_mem_usage",
        "attn_implementation", "default_padding_side", "default_prepend_bos",
        # These say where it is from.
        "trust_remote_code", "token", "use_auth_token", "cache_dir", "local_files_only", "force_download",
    }
)  # fmt: skip


@dataclass(frozen=True)
class ModelChanges:
    """How the model that an SAE was trained on differs from the one that its name says.

    Attributes:
        centred: whether what is written into the residual stream has its mean over the width taken away
            (`center_writing_weights`); TransformerLens does so only where the norms do not see that mean (LayerNorm).
        folded: whether the norms' weights and biases are moved into what reads them (`fold_ln`): then what enters an MLP is
            the norm's output before them.
        revision: of the model; None for its main one.
        stated: whether the metadata say anything of this.
    """

    centred: bool = False
    folded: bool = False
    revision: str | None = None
    stated: bool = True


def changes_to_model(metadata: Mapping[str, Any]) -> ModelChanges:
    """What was done to the model before the SAE read it.

    Raises:
        InvalidInput: something that saetui does not do too, by its name.
    """
    kwargs = metadata.get(_KWARGS)
    if kwargs is None:
        return ModelChanges(stated=False)
    if not isinstance(kwargs, dict):
        raise InvalidInput(f"{_KWARGS} in the SAE's metadata is {json.dumps(kwargs)[:60]}.", "It must be an object.")
    done = {name: value for name, value in kwargs.items() if value not in (None, False) and name not in _NO_EFFECT}
    centred, folded = bool(done.pop("center_writing_weights", False)), bool(done.pop("fold_ln", False))
    revision = done.pop("revision", None)
    if done:
        shown = ", ".join(f"{name}: {json.dumps(value)[:40]}" for name, value in done.items())
        raise InvalidInput(
            f"The SAE was trained on a model that was loaded with {shown}, which saetui does not do.",
            f"Where that changes no activation, remove it from {_KWARGS} in the SAE's metadata.",
        )
    return ModelChanges(centred, folded, revision if isinstance(revision, str) else None)


def check_positions(metadata: Mapping[str, Any]) -> None:
    """See that an SAE was trained on all positions of a context, with or without the first.

    Raises:
        InvalidInput: it was trained on some of them (`seqpos_slice`).
    """
    found = metadata.get("seqpos_slice")
    if found in (None, [], [None], [None, None], [0, None], [1, None], [None, None, None], [1, None, None]):
        return
    raise InvalidInput(
        f"The SAE was trained on the positions {json.dumps(found)[:60]} of its contexts alone (seqpos_slice); an evaluation "
        "reads all but the first.",
        "Remove seqpos_slice from the SAE's metadata to judge it on all of them.",
    )
