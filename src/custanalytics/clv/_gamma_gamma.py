"""The Gamma-Gamma model of spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from custanalytics import _frames, _jit
from custanalytics._columns import FREQUENCY, MONETARY_VALUE
from custanalytics._params import warn
from custanalytics.clv import _fit, _kernels_gamma_gamma
from custanalytics.clv._base import SUMMARY_HINT, LikelihoodModel, refuse
from custanalytics.exceptions import DataQualityWarning, FitWarning

Q_BELOW_ONE = "GammaGammaModel: q <= 1, so that the mean spend over all customers is infinite"


class GammaGammaModel(LikelihoodModel):
    """Gamma-Gamma model of how much a customer spends per purchase.

    Every purchase of a customer is gamma distributed about that customer's own mean, and the means differ between
    customers. Customers with few repeat purchases are drawn towards the population, those with many keep their
    own average. It applies where spend varies around a stable mean and has nothing to do with how often somebody
    buys; it does not where heavy buyers spend systematically more or less per purchase (correlate `frequency` with
    `monetary_value` among repeat buyers first), or where prices are subscriptions.

    Parameters
    ----------
    penalty : float, default=0.0
        Weight of the squared log-parameters (`v` in units of the mean spend) that is taken off the log-likelihood:
        a normal prior of variance 1 / (2 * penalty) on each of them.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `p` and `q` without a unit, `v` in the currency of the log.
    log_likelihood_ : float
        Of the repeat buyers, at `params_`.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (3, 3)
        Of `p`, `q`, `v`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns are used: 2.
    feature_names_in_ : ndarray of shape (2,)
        The columns used.

    See Also
    --------
    BetaGeoModel : How often customers buy.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    Given x purchases of mean m, the expected value of a purchase is

    .. math:: E(M \\mid x, m) = \\frac{p (v + m x)}{p x + q - 1},

    an average of the population mean :math:`p v / (q - 1)` and m with weights q - 1 and p x. One-time buyers (x = 0)
    get the population mean. For q <= 1 that mean is infinite: fitting and predicting warn, and `predict_spend` gives
    infinity, never a negative number, for the customers with p x + q <= 1. All others stay finite.

    The log-likelihood is accurate to about 1e-15 of the largest of its terms per customer, whatever the size of the
    parameters.

    References
    ----------
    .. [1] P. S. Fader and B. G. S. Hardie (2013), "The Gamma-Gamma Model of Monetary Value", technical note 025,
       equations 1 (likelihood) and 5 (conditional expectation), http://www.brucehardie.com/notes/025/.
    .. [2] P. S. Fader, B. G. S. Hardie and K. L. Lee (2005), "RFM and CLV: Using Iso-Value Curves for Customer Base
       Analysis", Journal of Marketing Research 42(4), https://doi.org/10.1509/jmkr.2005.42.4.415.

    Examples
    --------
    >>> from custanalytics.clv import GammaGammaModel
    >>> model = GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4)
    >>> model.predict_spend({"frequency": [0, 1, 10], "monetary_value": [0.0, 80.0, 80.0]}).round(2)
    array([35.13, 66.32, 78.12])
    """

    _names: ClassVar[tuple[str, ...]] = ("p", "q", "v")
    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, MONETARY_VALUE)
    _unit_columns: ClassVar[tuple[str, ...]] = (MONETARY_VALUE,)
    _unit_powers: ClassVar[Mapping[str, int]] = {"v": 1}
    _loglik_loop = staticmethod(_kernels_gamma_gamma.log_likelihood_loop)

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters from the repeat buyers by maximum likelihood.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency` and `monetary_value` in the currency of the log. One-time buyers
            are passed over; repeat buyers whose `monetary_value` is not positive are left out with a warning.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,), optional
            Weight of each customer; 2 is the same as the row given twice.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If no repeat buyer is left, or rows cannot be what the columns mean.

        Warns
        -----
        DataQualityWarning
            If repeat buyers are left out.
        FitWarning
            If the solver stops short of `tol`, some parameters are not determined, or q <= 1.
        """
        super().fit(table, y, sample_weight)
        if self.params_["q"] <= 1:
            warn(
                f"{Q_BELOW_ONE} (q = {self.params_['q']:.3g}). Look for a few extreme amounts, or pass penalty=0.1.",
                FitWarning,
            )
        return self

    def predict_spend(self, table: Any) -> np.ndarray:
        """Expected value of each customer's next purchases.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency` and `monetary_value`.

        Returns
        -------
        ndarray of shape (n_customers,)
            Mean value per purchase in the currency of the log. A negative `monetary_value` counts as 0.

        Warns
        -----
        FitWarning
            If q <= 1 makes the expectation of some customers infinite.
        """
        theta = self._theta()
        x, m = self._read(table)
        result = np.empty(x.size)
        _jit.run(_kernels_gamma_gamma.spend_loop, x.size, x, np.maximum(m, 0.0), theta, out=(result,))
        endless = int(np.count_nonzero(np.isinf(result)))
        if endless:
            warn(
                f"{Q_BELOW_ONE}: {endless:,} of {result.size:,} customers, with p * frequency + q <= 1, are given an "
                "infinite expectation. Replace theirs by the median of the others, or fit with penalty=0.1.",
                FitWarning,
            )
        return result

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        frame = _frames.read(table, self._columns, type(self).__name__, SUMMARY_HINT)
        x, m = (_frames.floats(frame, name) for name in self._columns)
        refuse(frame, ~np.isfinite(x), f"have a missing or infinite {FREQUENCY}", "Drop or repair them.")
        refuse(frame, x < 0, f"have a negative {FREQUENCY}", "Summarise the log anew.")
        refuse(
            frame,
            ~np.isfinite(m) & (x > 0),
            f"have repeat purchases but a missing or infinite {MONETARY_VALUE}",
            "Drop or repair them.",
        )
        return x, m

    def _used(self, columns: tuple[np.ndarray, ...]) -> np.ndarray:
        x, m = columns
        worthless = (x > 0) & (m <= 0)
        if worthless.any():
            warn(
                f"GammaGammaModel leaves out {np.count_nonzero(worthless):,} of {np.count_nonzero(x > 0):,} repeat "
                f"buyers, whose {MONETARY_VALUE} is not positive: the model is about purchases that cost something.",
                DataQualityWarning,
            )
        return (x > 0) & ~worthless

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        # v is such that the mean over customers is that of the sample, 1 in scaled units
        shapes = ((2.0, 3.0), (6.0, 4.0), (30.0, 4.0), (5.0, 40.0), (0.5, 1.5), (1.0, 100.0), (100.0, 2.0))
        return np.array([(p, q, (q - 1.0) / p) for p, q in shapes])
