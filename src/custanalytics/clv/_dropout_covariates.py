"""Models in which dropout may depend on covariates too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from custanalytics._params import OneOf, Rule
from custanalytics.clv._covariates import DROPOUT, EQUAL, NAMES, RATE, RateCovariateModel


class CovariateModel(RateCovariateModel):
    """A model whose rate of purchase and dropout may depend on columns of the table."""

    _dropout_effect: ClassVar[Mapping[str, int]]
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "dropout_covariates": NAMES,
        "equal_covariates": NAMES,
        **RateCovariateModel._rules,
    }

    def __init__(
        self,
        *,
        rate_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        equal_covariates: Sequence[str] = (),
        covariate_penalty: float = 0.0,
        penalty: float | Mapping[str, tuple[float, float]] = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
    ) -> None:
        super().__init__(
            rate_covariates=rate_covariates,
            covariate_penalty=covariate_penalty,
            penalty=penalty,
            max_iter=max_iter,
            tol=tol,
        )
        self.dropout_covariates = dropout_covariates
        self.equal_covariates = equal_covariates

    def _processes(self) -> dict[str, tuple[str, ...]]:
        return {**super()._processes(), DROPOUT: tuple(self.dropout_covariates), EQUAL: tuple(self.equal_covariates)}

    def _effects(self) -> dict[str, Mapping[str, int]]:
        return {
            RATE: self._rate_effect,
            DROPOUT: self._dropout_effect,
            EQUAL: {**self._rate_effect, **self._dropout_effect},
        }

    def _check_covariates(self) -> None:
        super()._check_covariates()
        check_equal(self)


def check_equal(model: Any) -> None:
    """Refuse covariates that are to have one coefficient for both processes and another one too."""
    twice = set(model.equal_covariates) & {*model.rate_covariates, *model.dropout_covariates}
    if twice:
        raise ValueError(
            f"{sorted(twice)} of {type(model).__name__} have one coefficient for both processes as "
            "equal_covariates, and cannot be among rate_covariates or dropout_covariates too."
        )


class BetaDropoutModel(CovariateModel):
    """A model with dropout after purchases, whose chance is beta distributed."""

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "dropout_effect": (OneOf(("a", "both", "apart")),),
        **CovariateModel._rules,
    }

    def __init__(
        self,
        *,
        rate_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        equal_covariates: Sequence[str] = (),
        dropout_effect: str = "a",
        covariate_penalty: float = 0.0,
        penalty: float | Mapping[str, tuple[float, float]] = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
    ) -> None:
        super().__init__(
            rate_covariates=rate_covariates,
            dropout_covariates=dropout_covariates,
            equal_covariates=equal_covariates,
            covariate_penalty=covariate_penalty,
            penalty=penalty,
            max_iter=max_iter,
            tol=tol,
        )
        self.dropout_effect = dropout_effect

    @property
    def _dropout_effect(self) -> Mapping[str, int]:  # type: ignore[override]
        return {"a": 1, "b": 1} if self.dropout_effect == "both" else {"a": 1}

    def _processes(self) -> dict[str, tuple[str, ...]]:
        processes = super()._processes()
        if self.dropout_effect != "apart":
            return processes
        columns = processes.pop(DROPOUT)
        return {**processes, "a": columns, "b": columns}

    def _effects(self) -> dict[str, Mapping[str, int]]:
        return {**super()._effects(), "a": {"a": 1}, "b": {"b": 1}}

    def _check_covariates(self) -> None:
        super()._check_covariates()
        if self.dropout_effect == "apart" and self.equal_covariates:
            raise ValueError(
                'With dropout_effect="apart" no coefficient of dropout can equal that of the rate: there are two of '
                'them. Give equal_covariates with dropout_effect="a" or "both".'
            )
