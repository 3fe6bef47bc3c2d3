"""From the event log to the customer table, its scores and its named segments."""

from custanalytics.rfm._explanation import SegmentExplanation
from custanalytics.rfm._rules import RuleTable
from custanalytics.rfm._scorer import RFMScorer
from custanalytics.rfm._segmenter import RFMSegmenter
from custanalytics.rfm._summary import RFMSummary

__all__ = ["RFMScorer", "RFMSegmenter", "RFMSummary", "RuleTable", "SegmentExplanation"]
