"""Is the data right, and fit for targeting?"""

from custanalytics.validation._report import ValidationReport
from custanalytics.validation._rules import ValidationRule
from custanalytics.validation._validator import TransactionValidator

__all__ = ["TransactionValidator", "ValidationReport", "ValidationRule"]
