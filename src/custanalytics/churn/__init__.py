"""Churn: honest labels and point-in-time features at cutoffs, and a calibrated classifier."""

from __future__ import annotations

from custanalytics.churn._classifier import ChurnClassifier
from custanalytics.churn._features import ChurnFeatures
from custanalytics.churn._labels import churn_labels

__all__ = ["ChurnClassifier", "ChurnFeatures", "churn_labels"]
