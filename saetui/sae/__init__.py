"""The SAE library: architectures, their losses and sparse kernels, metrics, dead latents, export and import.

Usable from a notebook without the rest of saetui. All activations are in normalised units (normalization.py):

    generator = torch.Generator().manual_seed(0)
    sae = build("topk", 768, 768, 6144, generator, k=32)
    sae.initialise_bias(first_tokens)
    optimizer = torch.optim.Adam(sae.parameters(), lr=3e-4, eps=1e-8 / sae.d_out, fused=True)
    dead, sums = DeadLatents(sae.latents, window=1_000_000), IntervalSums(sae.latents, sae.d_out)

    optimizer.zero_grad()
    losses = sae.loss(x, dead=dead.current)
    losses.total.backward()
    sae.observe(losses.statistics)
    sae.before_step()                                     # then clip the gradient, if at all
    optimizer.step()
    sae.after_step()
    dead.update(losses.statistics)
    sums.add(x, losses)
    # now and then: dead.refresh(), sums.read() -> {"loss": …, "l0": …, "fvu": …}

    export_saelens(directory, sae, normalization, metadata);  load_saelens(directory).reconstruct(raw)
"""

from saetui.sae.base import SparseAutoencoder, WholeBatch
from saetui.sae.continuing import take_over
from saetui.sae.dead import DeadLatents, DeadSet
from saetui.sae.formats.export import ExportMetadata, export_result, export_saelens, export_saetui
from saetui.sae.formats.layouts import load_sae
from saetui.sae.formats.loading import LoadedSAE, as_trained, load_saelens
from saetui.sae.gated import GatedSAE
from saetui.sae.jumprelu import JumpReLUSAE
from saetui.sae.losses import BatchStatistics, Losses, combine
from saetui.sae.normalization import Normalization, ScaleEstimator
from saetui.sae.planted import PlantedDictionary, recovered
from saetui.sae.registry import ARCHITECTURES, build, build_from
from saetui.sae.resampling import Candidates, MomentReset, resample_dead, reset_moments
from saetui.sae.standard import StandardSAE
from saetui.sae.sums import IntervalSums
from saetui.sae.topk import TopKSAE

__all__ = [
    "ARCHITECTURES",
    "BatchStatistics",
    "Candidates",
    "DeadLatents",
    "DeadSet",
    "ExportMetadata",
    "GatedSAE",
    "IntervalSums",
    "JumpReLUSAE",
    "LoadedSAE",
    "Losses",
    "MomentReset",
    "Normalization",
    "PlantedDictionary",
    "ScaleEstimator",
    "SparseAutoencoder",
    "StandardSAE",
    "TopKSAE",
    "WholeBatch",
    "as_trained",
    "build",
    "build_from",
    "combine",
    "export_result",
    "export_saelens",
    "export_saetui",
    "load_sae",
    "load_saelens",
    "recovered",
    "resample_dead",
    "reset_moments",
    "take_over",
]
