"""From the event log to the customer table, its scores and its named segments."""

from custanalytics.rfm._summary import RFMSummary

__all__ = ["RFMSummary"]
