"""From the event log to the customer table, its scores and its named segments."""

from custanalytics.rfm._explanation import SegmentExplanation
from custanalytics.rfm._ledger import Ledger
from custanalytics.rfm._migration import migration
from custanalytics.rfm._migration_result import Migration
from custanalytics.rfm._order_policy import OrderPolicy
from custanalytics.rfm._rules import RuleTable
from custanalytics.rfm._scorer import RFMScorer
from custanalytics.rfm._segmenter import RFMSegmenter
from custanalytics.rfm._summary import RFMSummary

__all__ = [
    "Ledger",
    "Migration",
    "OrderPolicy",
    "RFMScorer",
    "RFMSegmenter",
    "RFMSummary",
    "RuleTable",
    "SegmentExplanation",
    "migration",
]
