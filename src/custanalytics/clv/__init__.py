"""Buy-till-you-die models, spend models, lifetime value."""

from custanalytics.clv._beta_discrete_weibull import BetaDiscreteWeibullModel
from custanalytics.clv._beta_geo import BetaGeoModel
from custanalytics.clv._beta_geo_beta_binom import BetaGeoBetaBinomModel
from custanalytics.clv._beta_geo_cnbd import BetaGeoCNBDModel
from custanalytics.clv._correlated_spend import CorrelatedGammaGammaModel, spend_independence_test
from custanalytics.clv._gamma_gamma import GammaGammaModel
from custanalytics.clv._gamma_gompertz import GammaGompertzNBDModel
from custanalytics.clv._inference import likelihood_ratio_test
from custanalytics.clv._lifetime_value import LifetimeValue
from custanalytics.clv._modified_beta_geo import ModifiedBetaGeoModel
from custanalytics.clv._modified_beta_geo_cnbd import ModifiedBetaGeoCNBDModel
from custanalytics.clv._nbd import NBDModel
from custanalytics.clv._pareto_nbd import ParetoNBDModel
from custanalytics.clv._posterior import ParameterPosterior
from custanalytics.clv._posterior_value import ValuePosterior
from custanalytics.clv._shifted_beta_geo import ShiftedBetaGeoModel
from custanalytics.clv._time_varying_beta_geo import TimeVaryingBetaGeoModel
from custanalytics.clv._time_varying_pareto_nbd import TimeVaryingParetoNBDModel

__all__ = [
    "BetaDiscreteWeibullModel",
    "BetaGeoBetaBinomModel",
    "BetaGeoCNBDModel",
    "BetaGeoModel",
    "CorrelatedGammaGammaModel",
    "GammaGammaModel",
    "GammaGompertzNBDModel",
    "LifetimeValue",
    "ModifiedBetaGeoCNBDModel",
    "ModifiedBetaGeoModel",
    "NBDModel",
    "ParameterPosterior",
    "ParetoNBDModel",
    "ShiftedBetaGeoModel",
    "TimeVaryingBetaGeoModel",
    "TimeVaryingParetoNBDModel",
    "ValuePosterior",
    "likelihood_ratio_test",
    "spend_independence_test",
]
