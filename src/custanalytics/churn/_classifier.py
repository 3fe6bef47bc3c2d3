"""A calibrated churn classifier that takes the customer table as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data
from threadpoolctl import threadpool_limits

from custanalytics import _frames, _jit
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import NONE, Having, InstanceOf, OneOf, Rule, check_params, integer
from custanalytics.churn import _training
from custanalytics.exceptions import InvalidDataError

_OWNER = "ChurnClassifier"


def some_threads() -> threadpool_limits:
    """Half of the threads for OpenMP, whose waiting threads stall the others of a busy machine."""
    return threadpool_limits(max(1, _jit.num_threads() // 2), user_api="openmp")


class ChurnClassifier(ClassifierMixin, BaseEstimator):
    """Learn the probability of churn from a table of customers, cutoffs and features.

    Gradient-boosted trees by default: small, slow-learning and regularised, since churn is mostly chance and
    every customer appears at several cutoffs. Their scores are calibrated on rows of customers whom the scoring
    model has not seen, so that a predicted .8 can be multiplied with money.

    It suits purchase histories with some thousands of labelled rows; with a few hundred, pass a logistic
    regression as `estimator`. It does not say whom an offer would keep: that takes an experiment.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``, optional
        What learns; by default a ``HistGradientBoostingClassifier``. It is cloned.
    calibration : {"sigmoid", "isotonic"} or None, default="sigmoid"
        How scores become probabilities. Two parameters ("sigmoid") do for models that are trained on the
        log-loss; "isotonic" corrects any monotone distortion, needs thousands of rows and can say exactly 0 or
        1; None trusts the model.
    cv : int or splitter, default=5
        Folds for the out-of-fold scores that calibration is fitted to. With an int, rows of one ``customer_id``
        stay in one fold; without that column folds are stratified by class. A splitter is given the codes of the
        customers as groups. Every row that is learned from must be in exactly one test fold.
    feature_columns : sequence of str, optional
        The columns to learn from, where X is a frame. By default all numeric ones but ``customer_id``,
        ``cutoff``, ``churned``, ``state``, ``first_seen`` and ``last_seen``.
    random_state : int, RandomState instance or None, default=None
        Seed of the default estimator; None stands for a fixed one, so that fits can be repeated.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The classes; [0.0, 1.0] for labels by :func:`churn_labels`.
    model_ : estimator
        What predicts: the calibrated classifier, or the estimator itself where `calibration` is None.
    n_unknown_ : int
        Rows left out because their label was missing.
    n_immature_ : int
        Further rows left out because their cutoff's label window was still open.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X was a frame.

    See Also
    --------
    churn_labels : Makes the labels.
    ChurnFeatures : Makes the features.

    Notes
    -----
    Rows whose label is missing are left out of ``fit``. So are the other rows of a cutoff that has missing labels
    and no churned customer (label 1): its label window is still open, and the labels known so far are those of
    customers who came back quickly. Rows with weight 0 are left out too.

    Calibration scores each row by a model trained without that row's customer, fits one calibrator to all these
    scores, then refits the model on all rows: predictions come from one model and one calibrator.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from custanalytics.churn import ChurnClassifier, ChurnFeatures, churn_labels
    >>> rng = np.random.default_rng(0)
    >>> days = [np.cumsum(rng.exponential(gap, 40)) for gap in rng.uniform(4, 60, 150)]
    >>> log = pd.DataFrame({
    ...     "customer_id": np.repeat(np.arange(150), 40),
    ...     "timestamp": np.datetime64("2023-01-01", "us") + np.concatenate(days).astype("timedelta64[D]"),
    ...     "amount": 10.0,
    ... })
    >>> log = log[log["timestamp"] < "2024-01-01"]
    >>> labels = churn_labels(log, ["2023-06-01", "2023-09-01"], horizon=30)
    >>> table = ChurnFeatures(log=log).fit_transform(labels)
    >>> model = ChurnClassifier().fit(table)
    >>> model.classes_
    array([0., 1.])

    Today's customers, of whom nobody knows yet:

    >>> today = churn_labels(log, "2024-01-01", horizon=30)
    >>> scores = model.predict_proba(ChurnFeatures(log=log).fit_transform(today))[:, 1]
    >>> bool(((scores > 0) & (scores < 1)).all())
    True
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "estimator": (Having(("fit", "predict_proba")), NONE),
        "calibration": (OneOf(("sigmoid", "isotonic")), NONE),
        "cv": (integer(2), Having(("split",))),
        "feature_columns": (InstanceOf((list, tuple, np.ndarray)), NONE),
        "random_state": (integer(0, 2**32 - 1), InstanceOf((np.random.RandomState,)), NONE),
    }

    def __init__(
        self,
        *,
        estimator: Any = None,
        calibration: str | None = "sigmoid",
        cv: Any = 5,
        feature_columns: Sequence[str] | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.calibration = calibration
        self.cv = cv
        self.feature_columns = feature_columns
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from rows whose label is known.

        Parameters
        ----------
        X : frame, or array-like of shape (n_rows, n_features)
            The customer table with features, or a plain numeric matrix.
        y : array-like of shape (n_rows,), optional
            Labels, NaN or None where not yet knowable; by default the table's column ``churned``.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the usable labels hold fewer than two classes, or are too few for the folds of the calibration.
        """
        check_params(self, self._rules)
        table = _training.as_table(X)
        features = self._learn_columns(X, table)
        target = _training.labels(y, table, _OWNER)
        _training.check_lengths(features, target)
        weight = _training.weights(sample_weight, target.size)
        unknown = _training.missing(target)
        early = _training.immature(target, unknown, table)
        self.n_unknown_, self.n_immature_ = int(unknown.sum()), int(early.sum())

        rows = np.flatnonzero(~unknown & ~early & (weight > 0 if weight is not None else True))
        self.classes_ = _training.check_two_classes(target[rows], _OWNER)
        encoded = np.searchsorted(self.classes_, target[rows].astype(self.classes_.dtype))
        groups = None
        if table is not None and CUSTOMER_ID in table.columns:
            groups = _frames.codes(table)[0][rows]
        self._fit_model(features[rows], encoded, None if weight is None else weight[rows], groups)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class.

        Parameters
        ----------
        X : frame, or array-like of shape (n_rows, n_features)
            What ``fit`` took; of a frame the columns learned from are read by name, in any order.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            One column per class of ``classes_``: the second is the probability of churn.
        """
        check_is_fitted(self, "model_")
        table = _training.as_table(X)
        if table is not None and hasattr(self, "feature_names_in_"):
            features = _training.matrix(table, self.feature_names_in_, self._allows_nan(), self)
        else:
            features = self._validated(X, reset=False)
        with some_threads():
            return self.model_.predict_proba(features)

    def predict(self, X: Any) -> np.ndarray:
        """The more probable class of each row.

        Parameters
        ----------
        X : frame, or array-like of shape (n_rows, n_features)
            What ``fit`` took.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        check_is_fitted(self, "model_")
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The share of rows whose class is the predicted one, of those whose label is known.

        Parameters
        ----------
        X : frame, or array-like of shape (n_rows, n_features)
            What ``fit`` took.
        y : array-like of shape (n_rows,), optional
            Labels, NaN or None where not yet knowable; by default the table's column ``churned``.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.

        Returns
        -------
        float
            NaN where no label is known.
        """
        predicted, target = self.predict(X), _training.labels(y, _training.as_table(X), _OWNER)
        _training.check_lengths(predicted, target)
        rows = np.flatnonzero(~_training.missing(target))
        weight = _training.weights(sample_weight, target.size)
        hits = predicted[rows] == target[rows].astype(self.classes_.dtype)
        known = None if weight is None else weight[rows]
        return float(np.average(hits, weights=known)) if rows.size and (known is None or known.sum() > 0) else np.nan

    def _learn_columns(self, X: Any, table: nw.DataFrame[Any] | None) -> np.ndarray:
        if table is None:
            if self.feature_columns is not None:
                raise ValueError("The 'feature_columns' parameter of ChurnClassifier needs X to be a frame.")
            return self._validated(X, reset=True)
        names = _training.feature_columns(table, self.feature_columns, _OWNER)
        features = _training.matrix(table, names, self._allows_nan(), self)
        self.feature_names_in_ = np.array(names, dtype=object)
        self.n_features_in_ = len(names)
        return features

    def _validated(self, X: Any, reset: bool) -> np.ndarray:
        finite = "allow-nan" if self._allows_nan() else True
        return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=finite)

    def _fit_model(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None, groups: np.ndarray | None
    ) -> None:
        model = self._estimator()
        if self.calibration is not None:
            folds = self._folds(X, y, groups)
            model = CalibratedClassifierCV(model, method=self.calibration, cv=folds, ensemble=False)
        if sample_weight is None:
            fit_params = {}
        elif has_fit_parameter(model, "sample_weight"):
            fit_params = {"sample_weight": sample_weight}
        else:
            raise ValueError(f"{type(model).__name__} takes no sample_weight; pass another estimator.")
        with some_threads():
            self.model_ = model.fit(X, y, **fit_params)

    def _folds(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
        units = np.arange(y.size) if groups is None else groups
        per_class = [int(np.unique(units[y == label]).size) for label in (0, 1)]
        if hasattr(self.cv, "split"):
            folds = list(self.cv.split(X, y, groups))
        elif min(per_class) >= self.cv:
            folds = list((StratifiedKFold if groups is None else GroupKFold)(self.cv).split(X, y, groups))
        else:
            folds = []
        if not folds or any(np.unique(y[train]).size < 2 for train, _ in folds):
            raise InvalidDataError(
                f"Too few labels to calibrate with cv={self.cv}: the classes {self.classes_.tolist()} have {per_class} "
                f"{'rows' if groups is None else 'customers'} (n_samples={y.size}, n_features={X.shape[1]}), and each "
                "fold must leave both classes to learn from. Pass more rows, a smaller cv, or calibration=None."
            )
        return folds

    def _estimator(self) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            l2_regularization=10.0,
            max_features=0.3,
            early_stopping=False,
            random_state=0 if self.random_state is None else self.random_state,
        )

    def _allows_nan(self) -> bool:
        return bool(get_tags(self._estimator()).input_tags.allow_nan)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = self._allows_nan()
        return tags
