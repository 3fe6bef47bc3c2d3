"""Tiers by value, tiers by usage, and clusters of customers that hold up when the data are drawn again."""

from custanalytics.segmentation._customer_clusterer import CustomerClusterer
from custanalytics.segmentation._value_tiers import ValueTiers

__all__ = ["CustomerClusterer", "ValueTiers"]
