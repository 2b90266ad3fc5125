"""Sinks: tokens of enormous norm. A site's SAE neither learns from them nor is judged by them.

A few positions and frequent tokens have a vector that is many times as long as all others and nearly always the same (Sun et al.
2024, "Massive Activations in Large Language Models", arXiv 2402.17762). They hold half of the variance and no information: an SAE
that explains only them has a good FVU. dictionary_learning leaves them out too (`max_activation_norm_multiple`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.sparse import stable_order
from saetui.training.pairs import Pair, Units

Rows = Mapping[str, Tensor]
"""Raw activations by site, shape (n, d); row j is the same token at all sites."""


class Filled(NamedTuple):
    """A batch in which ordinary rows have replaced the sinks.

    Attributes:
        rows: of the SAE's sites, as many as in the batch.
        sinks: how many sinks were replaced, int64, shape (), on the device; None where the site has no limit.
    """

    rows: Rows
    sinks: Tensor | None


class SinkFilter:
    """Replaces a site's sinks by ordinary rows, and counts them.

    A batch keeps its size, so that nothing waits for the device: its own ordinary rows, from the first on, replace its sinks. In a batch
    without ordinary rows, a row of the last batch that had one replaces all. This is done to the whole batch, before it is cut into
    micro-batches.
    """

    def __init__(self, pair: Pair, units: Units, spare: Rows) -> None:
        """`spare`: an ordinary row of each site of the pair, shape (1, d), on the device."""
        self._pair = pair
        self._units = units
        self._sites = dict.fromkeys((pair.source.name, pair.target.name))
        self._spare = {site: spare[site] for site in self._sites}
        device = self._spare[pair.source.name].device
        self._left_out = torch.zeros((), dtype=torch.int64, device=device)
        self._left_out_ever = torch.zeros((), dtype=torch.int64, device=device)
        self._seen, self._seen_ever = 0, 0

    def fill(self, batch: Rows) -> Filled:
        """The batch without its sinks. Does not wait for the device, and changes no state: `count` does."""
        device = self._left_out.device
        rows = {site: batch[site].to(device) for site in self._sites}
        if not self._units.have_limits:
            return Filled(rows, None)
        sinks = find_sinks(self._pair, self._units, rows)
        # On a CPU, where reading a flag is free, a batch without sinks is not copied: the result would be the same.
        if device.type == "cpu" and not bool(sinks.any()):
            return Filled(rows, sinks.sum())
        return Filled(fill_places(rows, sinks, self._spare), sinks.sum())

    def count(self, filled: Filled) -> None:
        """Count a batch that was learned from."""
        if filled.sinks is None:
            return
        tokens = len(filled.rows[self._pair.source.name])
        self._spare = {site: values[:1].clone() for site, values in filled.rows.items()}
        self._left_out += filled.sinks
        self._left_out_ever += filled.sinks
        self._seen += tokens
        self._seen_ever += tokens

    def read(self) -> dict[str, float]:
        """`sink_fraction`, the share of tokens left out since the last call; empty without a limit. Waits for the device."""
        if not self._seen:
            return {}
        share = float(self._left_out) / self._seen
        self._left_out.zero_()
        self._seen = 0
        return {"sink_fraction": share}

    @property
    def share(self) -> float | None:
        """The share of all tokens of the training that were left out; None without a limit. Waits for the device."""
        return float(self._left_out_ever) / self._seen_ever if self._seen_ever else None

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors, for a checkpoint; empty without a limit."""
        if not self._units.have_limits:
            return {}
        counts = torch.tensor([self._seen, self._seen_ever], dtype=torch.int64)
        left_out = torch.stack([self._left_out, self._left_out_ever])
        spare = {f"spare.{site}": row.clone() for site, row in self._spare.items()}
        return {"seen": counts, "left_out": left_out, **spare}

    @classmethod
    def restored(cls, pair: Pair, units: Units, state: Mapping[str, Tensor], device: torch.device) -> SinkFilter:
        """The filter whose state was saved."""
        if not units.have_limits:
            return cls(pair, units, {site.name: torch.empty(0, device=device) for site in (pair.source, pair.target)})
        spare = {
            name.removeprefix("spare."): row.to(device) for name, row in state.items() if name.startswith("spare.")
        }
        found = cls(pair, units, spare)
        found._seen, found._seen_ever = (int(count) for count in state["seen"])
        left_out = state["left_out"].to(device)
        found._left_out.copy_(left_out[0])
        found._left_out_ever.copy_(left_out[1])
        return found


def fill_places(rows: Rows, sinks: Tensor, spare: Rows) -> dict[str, Tensor]:
    """The ordinary rows first, in their order, then again from the first of them. Does not wait for the device.

    Args:
        rows: by site, shape (n, d).
        sinks: which of them are sinks, bool, shape (n,).
        spare: by site the row that replaces all where all rows are sinks, shape (1, d).
    """
    tokens = sinks.shape[0]
    ordinary = tokens - sinks.sum()
    order = stable_order(sinks.to(torch.uint8), 2)
    chosen = order[torch.arange(tokens, device=sinks.device) % ordinary.clamp_min(1)]
    return {
        site: torch.where(ordinary > 0, values.index_select(0, chosen), spare[site].to(values.dtype))
        for site, values in rows.items()
    }


def find_sinks(pair: Pair, units: Units, rows: Rows) -> Tensor:
    """Which rows are sinks, bool, shape (n,): those beyond the limit at the site that the SAE reads, or that it predicts."""
    return units.sinks(pair.input_of(rows), pair.target_of(rows))


def ordinary_rows(pair: Pair, units: Units, rows: Rows) -> dict[str, Tensor]:
    """The rows of an SAE's sites that are no sinks; of a block of sinks alone the shortest row. Waits for the device."""
    sinks = find_sinks(pair, units, rows)
    kept = torch.nonzero(~sinks)[:, 0]
    if not len(kept):
        kept = pair.input_of(rows).to(torch.float32).norm(dim=1).argmin().reshape(1)
    return {site.name: rows[site.name][kept] for site in (pair.source, pair.target)}
