"""Customer analytics: a transaction log in, a scored customer table and a decision out."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("custanalytics")

# Public name -> the module that is loaded when the name is first used.
_HOME = {
    "BetaDiscreteWeibullModel": "clv",
    "BetaGeoBetaBinomModel": "clv",
    "BetaGeoCNBDModel": "clv",
    "BetaGeoModel": "clv",
    "ChurnClassifier": "churn",
    "ChurnFeatures": "churn",
    "ConsentLedger": "validation",
    "Customer360": "customer360",
    "CustomerClusterer": "segmentation",
    "CustomerValidator": "validation",
    "CorrelatedGammaGammaModel": "clv",
    "GammaGammaModel": "clv",
    "IdentityResolver": "validation",
    "Ledger": "rfm",
    "GammaGompertzNBDModel": "clv",
    "LifetimeValue": "clv",
    "Migration": "rfm",
    "ModifiedBetaGeoCNBDModel": "clv",
    "ModifiedBetaGeoModel": "clv",
    "NBDModel": "clv",
    "NextBestOffer": "offers",
    "OrderPolicy": "rfm",
    "ParameterPosterior": "clv",
    "ParetoNBDModel": "clv",
    "ProbabilisticResolver": "validation",
    "RFMScorer": "rfm",
    "RFMSegmenter": "rfm",
    "RFMSummary": "rfm",
    "RuleTable": "rfm",
    "SegmentExplanation": "rfm",
    "ShiftedBetaGeoModel": "clv",
    "TimeVaryingBetaGeoModel": "clv",
    "TimeVaryingParetoNBDModel": "clv",
    "TransactionValidator": "validation",
    "ValuePosterior": "clv",
    "ValueTiers": "segmentation",
    "apply_merge_map": "validation",
    "churn_labels": "churn",
    "compare_models": "model_selection",
    "likelihood_ratio_test": "clv",
    "spend_independence_test": "clv",
    "migration": "rfm",
    "pseudonymize": "validation",
}
_MODULES = (
    "churn",
    "clv",
    "customer360",
    "datasets",
    "exceptions",
    "metrics",
    "model_selection",
    "offers",
    "plotting",
    "rfm",
    "segmentation",
    "validation",
)

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"custanalytics.{name}")
    if name in _HOME:
        value = getattr(import_module(f"custanalytics.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'custanalytics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
