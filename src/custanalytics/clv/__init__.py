"""Buy-till-you-die models, spend models, lifetime value."""

from custanalytics.clv._beta_geo import BetaGeoModel

__all__ = ["BetaGeoModel"]
