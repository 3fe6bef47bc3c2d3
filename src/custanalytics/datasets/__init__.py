"""Public data sets and a simulator whose truth is known."""

from custanalytics.datasets._cdnow import load_cdnow
from custanalytics.datasets._complete_journey import load_complete_journey

__all__ = ["load_cdnow", "load_complete_journey"]
