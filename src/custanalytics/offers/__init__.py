"""Which offer each customer should see next, under a policy of who may see what."""

from custanalytics.offers._next_best import NextBestOffer

__all__ = ["NextBestOffer"]
