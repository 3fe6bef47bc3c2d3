"""Splits in time: by instant, by cutoff, and never from the future; and which model forecasts best."""

from custanalytics.model_selection._compare import compare_models
from custanalytics.model_selection._comparison import ModelComparison
from custanalytics.model_selection._rolling import RollingOriginSplit
from custanalytics.model_selection._temporal import rolling_cutoffs, temporal_split

__all__ = ["ModelComparison", "RollingOriginSplit", "compare_models", "rolling_cutoffs", "temporal_split"]
