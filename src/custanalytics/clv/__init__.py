"""Buy-till-you-die models, spend models, lifetime value."""

from custanalytics.clv._beta_geo import BetaGeoModel
from custanalytics.clv._gamma_gamma import GammaGammaModel
from custanalytics.clv._lifetime_value import LifetimeValue
from custanalytics.clv._pareto_nbd import ParetoNBDModel

__all__ = ["BetaGeoModel", "GammaGammaModel", "LifetimeValue", "ParetoNBDModel"]
