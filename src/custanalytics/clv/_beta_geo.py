"""The BG/NBD model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from custanalytics.clv import _fit, _kernels_beta_geo
from custanalytics.clv._base import PurchaseModel


class BetaGeoModel(PurchaseModel):
    """BG/NBD."""

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1}
    _loglik_loop = staticmethod(_kernels_beta_geo.log_likelihood_loop)
    _alive_loop = staticmethod(_kernels_beta_geo.alive_loop)

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        rate = max(sample.mean(0), 1e-3) if sample.columns[0].any() else 1e-3
        return np.array(
            [
                (r, r / (rate * keep), a, b)
                for r, keep, a, b in (
                    (0.5, 2.0, 1.0, 3.0),
                    (0.5, 1.0, 0.1, 3.0),
                    (2.0, 1.0, 1.0, 3.0),
                    (0.1, 4.0, 0.5, 0.5),
                    (5.0, 1.0, 0.01, 1.0),
                )
            ]
        )
