"""
What is each CDNOW customer worth?
==================================

CDNOW sold CDs online. The log holds everything that 2,357 people bought who came in the first quarter of 1997, up to
June 1998. Suppose that it is the evening of 30 September 1997. Who is still a customer, how often will they buy, and
what are they worth? The nine months that followed say how good the answers were.
"""

# %%
# The log, and what we may know of it
# -----------------------------------
#
# We split the log at midnight. The models see the past; the future is for the test.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue, ParetoNBDModel
from custanalytics.datasets import load_cdnow
from custanalytics.metrics import gini_score, total_calibration
from custanalytics.model_selection import temporal_split
from custanalytics.plotting import AliveDisplay, GainsDisplay, PurchasesDisplay
from custanalytics.rfm import RFMSummary

log = load_cdnow()
past, future = temporal_split(log, "1997-10-01", horizon=39, time_unit="W")
past.tail()

# %%
# One row per customer. ``frequency`` counts the days with a purchase after the first such day; durations are in weeks.
# Three customers in five have not come back yet.

table = RFMSummary(as_of="1997-09-30").fit_transform(past)
print(f"{len(table):,} customers, {(table['frequency'] == 0).mean():.0%} without a repeat purchase")
table[["customer_id", "frequency", "recency", "T", "inactivity", "monetary_value", "total_value"]].head()

# %%
# Two models of purchases
# -----------------------
#
# Both say that customers buy at random while they are active and leave unseen. In the BG/NBD they leave right after a
# purchase, in the Pareto/NBD at any time. The log-likelihoods can be compared: the BG/NBD fits slightly better here.

beta_geo = BetaGeoModel().fit(table)
pareto = ParetoNBDModel().fit(table)
pd.DataFrame(
    {
        type(model).__name__: {
            **{name: f"{value:.3f} ± {model.standard_errors_[name]:.3f}" for name, value in model.params_.items()},
            "log-likelihood": f"{model.log_likelihood_:.2f}",
        }
        for model in (beta_geo, pareto)
    }
).reindex(["r", "alpha", "a", "b", "s", "beta", "log-likelihood"]).fillna("")

# %%
# Did the purchases come?
# -----------------------
#
# We count the days with a purchase in the 39 weeks that followed, and compare by how often customers had bought before.

days = future.drop_duplicates(["customer_id", "timestamp"]).groupby("customer_id").size()
actual = table["customer_id"].map(days).fillna(0).to_numpy()
expected = {
    "BG/NBD": beta_geo.predict_purchases(table, horizon=39),
    "Pareto/NBD": pareto.predict_purchases(table, horizon=39),
}

figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
for ax, (name, purchases) in zip(axes, expected.items(), strict=True):
    PurchasesDisplay.from_predictions(actual, purchases, table["frequency"], ax=ax)
    ax.set_title(name, loc="left")

# %%
# Both follow the purchases closely over all groups. The BG/NBD is the better one for customers who never came back,
# the Pareto/NBD for the regular ones. Both are too low in total: people bought 1,882 times. Christmas lies in the
# holdout, and neither model knows of seasons.

pd.DataFrame(
    {
        name: {
            "expected": purchases.sum(),
            "actual": actual.sum(),
            "actual / expected": total_calibration(actual, purchases),
            "Gini coefficient of the order": gini_score(actual, purchases),
        }
        for name, purchases in expected.items()
    }
).round(3)

# %%
# Who is still a customer?
# ------------------------
#
# The map shows what the model answers for every history of 39 weeks. Read it along a row: somebody who bought ten
# times and then fell silent for nineteen weeks (recency 20) has most likely gone. Somebody who came back once and has
# been silent for as long may well come again, because such customers are slow.

AliveDisplay.from_estimator(pareto, max_frequency=15, T=39.0, time_unit="W")

# %%
# How much will they spend?
# -------------------------
#
# The Gamma-Gamma model assumes that spend per purchase has nothing to do with how often somebody buys. So we look at
# that first. A correlation of .1 is small enough.

repeat = table[table["frequency"] > 0]
correlation = repeat["frequency"].corr(repeat["monetary_value"])
spend = GammaGammaModel().fit(table)
print(f"correlation {correlation:.2f}; {', '.join(f'{name} = {value:.3f}' for name, value in spend.params_.items())}")

# %%
# A customer with one repeat purchase of 100 dollars is not expected to spend 100 each time. One purchase is little
# evidence, so the expectation is drawn towards the mean of all customers; with more purchases it is drawn less.

grid = pd.DataFrame({"frequency": [0, 1, 3, 10], "monetary_value": [0.0, 100.0, 100.0, 100.0]})
grid.assign(expected_spend=spend.predict_spend(grid).round(2))

# %%
# Lifetime value
# --------------
#
# Expected purchases times expected spend over the next 39 weeks, the length of our holdout, each purchase discounted
# at 10 % a year. In use you would take a year or more. The gains curve says whether the right customers come first:
# what share of all that was spent later came from the customers with the highest value?

value = LifetimeValue(purchases=pareto, spend=spend, horizon=39, discount_rate=0.10)
table["lifetime_value"] = value.predict(table)
spent = table["customer_id"].map(future.groupby("customer_id")["amount"].sum()).fillna(0.0).to_numpy()
print(f"predicted {table['lifetime_value'].sum():,.0f} dollars, spent {spent.sum():,.0f}")

display = GainsDisplay.from_predictions(spent, table["lifetime_value"], name="Lifetime value")
GainsDisplay.from_predictions(spent, table["total_value"], name="Past spend", ax=display.ax_)

# %%
# Past spend alone orders these customers about as well, which is good to know, and common. What it cannot say is how
# much to expect. That is what the models are for: a budget needs an amount, not an order.

best = table.nlargest(5, "lifetime_value")
best.assign(p_alive=pareto.predict_alive(best), spent_later=spent[best.index])[
    ["customer_id", "frequency", "inactivity", "monetary_value", "p_alive", "lifetime_value", "spent_later"]
].round(2)

# %%
# The sum over many customers is much better known than the value of one. Those at the very top are there partly by
# luck, and spent less than predicted; over the first hundred the two are close.

order = np.argsort(-table["lifetime_value"].to_numpy())
for n in (5, 20, 100, 500):
    predicted = table["lifetime_value"].iloc[order[:n]].sum()
    print(f"first {n:3}: predicted {predicted:8,.0f}, spent {spent[order[:n]].sum():8,.0f}")
