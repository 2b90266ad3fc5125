from __future__ import annotations

import pytest

from saetui.activations.sites import HookPoint, Site
from saetui.errors import InvalidInput


@pytest.mark.parametrize("point", list(HookPoint))
def test_a_site_is_read_back_from_its_name(point: HookPoint) -> None:
    site = Site(12, point)
    assert site.name == f"layer_12.{point.value}"
    assert Site.parse(site.name) == site


@pytest.mark.parametrize(
    "name", ["", "layer_2", "layer_2.logits", "layer_-1.resid_post", "2.resid_post", "layer_2.resid_post "]
)
def test_what_is_no_site_is_refused_with_the_hook_points(name: str) -> None:
    with pytest.raises(InvalidInput, match="resid_pre, resid_post, mlp_in, mlp_out, attn_out"):
        Site.parse(name)


def test_sites_have_the_names_that_transformer_lens_gives_them() -> None:
    names = {point.value: Site(2, point).transformer_lens_name for point in HookPoint}
    assert names == {
        "resid_pre": "blocks.2.hook_resid_pre",
        "resid_post": "blocks.2.hook_resid_post",
        "mlp_in": "blocks.2.mlp.hook_in",
        "mlp_out": "blocks.2.hook_mlp_out",
        "attn_out": "blocks.2.hook_attn_out",
    }
