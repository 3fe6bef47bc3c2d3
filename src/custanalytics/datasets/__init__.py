"""Public data sets and a simulator whose truth is known."""

from custanalytics.datasets._cdnow import load_cdnow
from custanalytics.datasets._complete_journey import load_complete_journey
from custanalytics.datasets._donations import load_donations
from custanalytics.datasets._simulate import SimulatedTransactions, simulate_transactions

__all__ = ["SimulatedTransactions", "load_cdnow", "load_complete_journey", "load_donations", "simulate_transactions"]
