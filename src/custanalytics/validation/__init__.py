"""Is the data right, and fit for targeting?"""

from custanalytics.validation._consent import ConsentLedger
from custanalytics.validation._merge_map import apply_merge_map
from custanalytics.validation._pseudonymize import pseudonymize
from custanalytics.validation._report import ValidationReport
from custanalytics.validation._rules import ValidationRule
from custanalytics.validation._validator import TransactionValidator

__all__ = [
    "ConsentLedger",
    "TransactionValidator",
    "ValidationReport",
    "ValidationRule",
    "apply_merge_map",
    "pseudonymize",
]
