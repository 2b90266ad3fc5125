"""What a form's numbers come to."""

from __future__ import annotations

from saetui.catalog.models import ModelInfo
from saetui.tui.draft import Draft
from saetui.tui.fields import PREFIX
from saetui.tui.run_figures import derived_values, run_figures

MODEL = ModelInfo(
    reference="some/model",
    directory="/",
    family="gpt2",
    num_layers=12,
    hidden_size=768,
    context_limit=1024,
    size_bytes=1,
)


def draft_with(architecture: str = "topk", **texts: str) -> Draft:
    draft = Draft()
    draft.set_text("architecture", architecture)
    for name, text in texts.items():
        draft.set_text(PREFIX + name, text)
    return draft


def test_parameters_are_two_matrices_and_two_biases_of_each_sae() -> None:
    draft = draft_with(expansion_factor="2")
    draft.layers, draft.hook_points = (1, 2, 3), ("resid_post", "mlp_out")
    figures = run_figures(draft, MODEL)
    assert figures is not None
    assert figures.sites == 6
    assert figures.parameters == 2 * 768 * 1536 + 1536 + 768
    assert figures.weight_bytes == 4 * 6 * figures.parameters


def test_tied_weights_are_one_matrix() -> None:
    figures = run_figures(draft_with("standard", latent_dim="100", tie_weights="true"), MODEL)
    assert figures is not None
    assert figures.parameters == 768 * 100 + 100 + 768
    assert figures.active is None, "an L1 penalty does not set how many are active"


def test_nothing_is_said_while_a_field_is_wrong_or_the_model_unknown() -> None:
    assert run_figures(draft_with(batch_size="many"), MODEL) is None
    assert run_figures(draft_with(k="9000"), MODEL) is None
    assert run_figures(Draft(), None) is None
    assert derived_values(draft_with(batch_size="many"), MODEL) == {}


def test_a_length_in_passes_is_not_guessed_in_steps() -> None:
    figures = run_figures(draft_with(num_epochs="2"), MODEL)
    assert figures is not None
    assert (figures.steps, figures.tokens, figures.checkpoints) == (None, None, None)
    assert derived_values(draft_with(num_epochs="2"), MODEL)[PREFIX + "num_steps"] == "once the text is read"


def test_what_follows_is_worked_out_for_every_open_field() -> None:
    known = derived_values(draft_with(num_tokens="8192000", top_k_sparsity="1"), MODEL)
    assert known[PREFIX + "num_steps"] == "2000"
    assert known[PREFIX + "latent_dim"] == "6144"
    assert known[PREFIX + "k"] == "61"
    assert known[PREFIX + "warmup_steps"] == "20"
    assert known[PREFIX + "aux_k"] == "384"
    assert known["name"] == "tiny-l6-topk"
