"""Thresholds for batch_topk and matryoshka, before an evaluation and an export: at inference they give the L0 of training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from saetui.activations import ActivationExtractor, TokenDataset, extract_rows
from saetui.sae.batch_topk import BatchTopKSAE, ThresholdSearch
from saetui.spec.settings import contexts_per_pass
from saetui.training.evaluation import spread
from saetui.training.site import SiteTrainer
from saetui.training.stream import kind_of

CALIBRATION_TOKENS = 16_384
"""Half the tokens of an evaluation. On the bundled model, 300 steps, k = 32: L0 on the judged text was 31.8, 32.4, 32.5 and 32.05
with 2,048, 4,096, 8,192 and 16,384 tokens. It costs one of the model's passes over them, where an evaluation takes four over
twice as many with its cross-entropy: an eighth more."""


class Calibration:
    """Searches the thresholds, one number each, on held-out contexts that no evaluation judges.

    So an evaluation shows how good a threshold is on other text. Where the evaluation needs nearly all held-out contexts, and less
    than a quarter of `CALIBRATION_TOKENS` is left, the judged contexts are used too.
    """

    def __init__(self, extractor: ActivationExtractor, dataset: TokenDataset, judged: NDArray[np.int64]) -> None:
        """
        Args:
            extractor: reads the sites.
            dataset: whose held-out contexts are taken.
            judged: those of an evaluation, in order.
        """
        unjudged = np.setdiff1d(dataset.held_out, judged, assume_unique=True)
        enough = int(dataset.kept[unjudged].sum()) >= CALIBRATION_TOKENS // 4
        self.contexts = spread(
            unjudged if enough else dataset.held_out, max(1, CALIBRATION_TOKENS // dataset.context_length)
        )
        self._extractor = extractor
        self._dataset = dataset
        self._at_a_time = contexts_per_pass(kind_of(extractor.model.device), dataset.context_length)

    def calibrate(self, trainers: Mapping[str, SiteTrainer]) -> None:
        """Set each SAE's threshold for its present weights, until its next step; the running threshold of the training stays.

        Raises:
            StopRequested: in an interruptible block; the thresholds are as before.
        """
        saes = {site: trainer.sae for site, trainer in trainers.items()}
        most = len(self.contexts) * self._dataset.context_length
        searches = {
            site: ThresholdSearch(sae, most)
            for site, sae in saes.items()
            if isinstance(sae, BatchTopKSAE) and sae.calibrated is None
        }
        if not searches:
            return
        for rows in extract_rows(self._extractor, self._dataset, self.contexts, micro_batch=self._at_a_time):
            for site, search in searches.items():
                search.add(trainers[site].inputs(rows))
        for site, search in searches.items():
            sae = saes[site]
            assert isinstance(sae, BatchTopKSAE)
            sae.calibrated = search.result()
