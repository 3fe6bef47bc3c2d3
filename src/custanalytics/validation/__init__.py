"""Is the data right, and fit for targeting?"""

from custanalytics.validation._consent import ConsentLedger
from custanalytics.validation._customer_report import CustomerReport
from custanalytics.validation._customer_rules import CustomerRule
from custanalytics.validation._customer_validator import CustomerValidator
from custanalytics.validation._identity import IdentityResolver
from custanalytics.validation._merge_map import apply_merge_map
from custanalytics.validation._probabilistic import ProbabilisticResolver
from custanalytics.validation._pseudonymize import pseudonymize
from custanalytics.validation._report import ValidationReport
from custanalytics.validation._rules import ValidationRule
from custanalytics.validation._validator import TransactionValidator

__all__ = [
    "ConsentLedger",
    "CustomerReport",
    "CustomerRule",
    "CustomerValidator",
    "IdentityResolver",
    "ProbabilisticResolver",
    "TransactionValidator",
    "ValidationReport",
    "ValidationRule",
    "apply_merge_map",
    "pseudonymize",
]
