"""Splits in time: by instant, by cutoff, and never from the future."""

from custanalytics.model_selection._rolling import RollingOriginSplit
from custanalytics.model_selection._temporal import rolling_cutoffs, temporal_split

__all__ = ["RollingOriginSplit", "rolling_cutoffs", "temporal_split"]
