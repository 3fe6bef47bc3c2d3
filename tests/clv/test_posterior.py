"""Posteriors of parameters: against quadrature, against NUTS, over simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import clv as reference

from custanalytics.clv import BetaGeoModel, ParameterPosterior


def test_cdnow_posterior_is_in_a_fraction_of_a_second_worth_thousands_of_draws():
    table, _ = reference.cdnow()
    posterior = BetaGeoModel().fit(table).posterior(table, rng=1)
    assert isinstance(posterior, ParameterPosterior)
    assert posterior.draws.shape == (4000, 4)
    assert posterior.effective_sample_size > 2800
    assert posterior.k_hat < 0.5
