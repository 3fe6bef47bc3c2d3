"""Measures of ranking, calibration and profit that no order of tied rows can change."""

from custanalytics.metrics._calibration import calibration_table, expected_calibration_error, total_calibration
from custanalytics.metrics._profit import expected_maximum_profit, expected_profit_fraction
from custanalytics.metrics._ranking import gains_curve, gini_score, lift_curve, lift_score

__all__ = [
    "calibration_table",
    "expected_calibration_error",
    "expected_maximum_profit",
    "expected_profit_fraction",
    "gains_curve",
    "gini_score",
    "lift_curve",
    "lift_score",
    "total_calibration",
]
