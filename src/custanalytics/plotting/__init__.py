"""Pictures of customer tables and predictions, after scikit-learn's `Display` convention, on matplotlib.

Every display is made by a class method that draws it, can be drawn again by `plot(ax=...)`, and keeps what it
drew in arrays. Matplotlib comes with ``pip install 'custanalytics[plot]'`` and is imported at the first drawing.
"""

from custanalytics.plotting._alive import AliveDisplay
from custanalytics.plotting._frequency import FrequencyDisplay
from custanalytics.plotting._gains import GainsDisplay
from custanalytics.plotting._migration import MigrationDisplay
from custanalytics.plotting._purchases import PurchasesDisplay
from custanalytics.plotting._quality import QualityDisplay
from custanalytics.plotting._rfm import RFMDisplay
from custanalytics.plotting._segments import SegmentDisplay
from custanalytics.plotting._tiers import TierDisplay
from custanalytics.plotting._tracking import TrackingDisplay

__all__ = [
    "AliveDisplay",
    "FrequencyDisplay",
    "GainsDisplay",
    "MigrationDisplay",
    "PurchasesDisplay",
    "QualityDisplay",
    "RFMDisplay",
    "SegmentDisplay",
    "TierDisplay",
    "TrackingDisplay",
]
