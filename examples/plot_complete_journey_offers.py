"""
What to offer to whom: the Complete Journey
===========================================

A year of groceries: 1.5 million lines of all that 2,469 households bought in 2017. It is the evening of 30 November.
We want to know who the customers are, who is about to stay away, and what to offer to each of them under a policy. The
purchases of December say how good the answers were.
"""

# %%
# Check the log
# -------------
#
# Offers are made for categories of products, of which there are some 300. Each row is a line of a basket.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from custanalytics.churn import ChurnClassifier, ChurnFeatures, churn_labels
from custanalytics.datasets import load_complete_journey
from custanalytics.metrics import calibration_table, lift_score
from custanalytics.model_selection import rolling_cutoffs, temporal_split
from custanalytics.offers import NextBestOffer
from custanalytics.plotting import GainsDisplay, SegmentDisplay
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary
from custanalytics.validation import TransactionValidator

validator = TransactionValidator(as_of="2018-01-01")
log = validator.fit_transform(load_complete_journey(product_level="product_category"))
print(str(validator.report_).splitlines()[0])
past, future = temporal_split(log, "2017-12-01")
past[["customer_id", "timestamp", "order_id", "product_id", "quantity", "amount"]].head()

# %%
# This log is clean. Most are not; then ``validator.quarantine_`` holds the rows that were set aside, with reasons.
#
# Who are they?
# -------------
#
# A summary, scores from 1 to 5, and a name for each combination of scores. The plot sets the share of customers against
# the share of what they spent.

table = RFMSummary(as_of="2017-11-30").fit_transform(past)
table = RFMSegmenter().fit_transform(RFMScorer().fit_transform(table))
SegmentDisplay.from_table(table)

# %%
# Champions are a tenth of the households and bring three tenths of the money. "Cannot Lose" are households that spent
# much at each visit and have stayed away for ten weeks: the first to call.

segments = table.groupby("segment")[["n_orders", "inactivity", "total_value"]].mean().round(1)
segments.assign(customers=table["segment"].value_counts()).sort_values("total_value", ascending=False)

# %%
# What will they buy next?
# ------------------------
#
# The propensity is the estimated probability that the next basket holds the category. Does the next basket agree? We
# look it up in December, and compare with two simpler answers: what everybody buys, and what this household bought.

offers = NextBestOffer(k=3, as_of="2017-11-30").fit(past)
propensity = offers.predict_propensity()
position = pd.Series(np.arange(len(offers.offers_)), offers.offers_)

by_time = future.sort_values(["timestamp", "order_id"])
first = by_time.groupby("customer_id")["order_id"].transform("first")
basket = by_time[(by_time["order_id"] == first) & by_time["customer_id"].isin(offers.customers_)]
row = np.searchsorted(offers.customers_, basket["customer_id"])
column = basket["product_id"].map(position)
bought = np.zeros(propensity.shape, dtype=bool)
bought[row[column.notna()], column.dropna().astype(int)] = True


def found(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Mean share of the wanted categories that are among the first ten."""
    some = wanted.any(axis=1)
    ten = np.argsort(-scores[some], axis=1, kind="stable")[:, :10]
    hits = np.take_along_axis(wanted[some], ten, axis=1).sum(axis=1)
    return float((hits / wanted[some].sum(axis=1)).mean())


personal = NextBestOffer(blend=0, as_of="2017-11-30").fit(past).predict_propensity()
everybody = np.broadcast_to(offers.popularity_, propensity.shape)
answers = {"popularity": everybody, "personal frequency": personal, "with item-to-item": propensity}
for name, scores in answers.items():
    print(f"{name:20} {found(scores, bought):.1%}")

# %%
# Habit is nearly all there is to know about the next basket. What other households buy helps where habit is silent:
# with the categories that a household has never bought.

known = np.zeros_like(bought)
known[np.searchsorted(offers.customers_, past["customer_id"]), past["product_id"].map(position)] = True
for name, scores in answers.items():
    print(f"{name:20} {found(np.where(known, -1.0, scores), bought & ~known):.1%}")

# %%
# Are the probabilities right in size? They are cautious: where .45 was predicted, .55 was bought.

seen = bought.any(axis=1)
calibration_table(bought[seen].ravel(), propensity[seen].ravel(), n_bins=200).tail(6).round(3)

# %%
# What may we offer?
# ------------------
#
# The policy is ours and not learned. Some categories are no offers at all: fuel, tobacco, deposits, coupons. Alcohol
# goes only to households that told us that they are 25 or older. ``exclude`` is for the first rule, ``eligibility``
# with one row per household for the second.

never = ["COUPON", "COUPON/MISC ITEMS", "COUPONS/STORE & MFG", "UNKNOWN", "MISCELLANEOUS", "FUEL", "PHARMACY"]
never += ["BOTTLE DEPOSITS", "CIGARETTES", "CIGARS", "TOBACCO OTHER", "TICKETS", "CONTINUITIES"]
alcohol = ["BEERS/ALES", "DOMESTIC WINE", "IMPORTED WINE", "MISC WINE", "LIQUOR"]

ages = load_complete_journey("demographics").set_index("customer_id")["age"]
age = ages.reindex(offers.customers_)
adult = (age.notna() & (age != "19-24")).to_numpy()
eligible = np.ones((len(offers.customers_), len(offers.offers_)), dtype=bool)
eligible[np.ix_(~adult, np.isin(offers.offers_, alcohol))] = False

chosen = offers.recommend(eligibility=eligible, exclude=never)
chosen.head(6).round(3)

# %%
# Each household gets its three offers with the highest propensity times value, where the value is the mean amount of a
# line. No household below the age, or of unknown age, is offered alcohol:

alcoholic = chosen[chosen["offer"].isin(alcohol)]
wrong = ~alcoholic["customer_id"].isin(offers.customers_[adult])
print(len(alcoholic), "offers of alcohol,", int(wrong.sum()), "against the policy")
chosen["offer"].value_counts().head(8)

# %%
# Did they buy these categories in December? A month holds many baskets, so the share is well above the propensity,
# which is about one. Nobody made these offers: this checks the targeting, and says nothing about what an offer would
# change.

december = set(zip(future["customer_id"], future["product_id"], strict=True))
came = [pair in december for pair in zip(chosen["customer_id"], chosen["offer"], strict=True)]
chosen.assign(bought=came).groupby("rank")[["propensity", "priority", "bought"]].mean().round(2)

# %%
# Who is about to stay away?
# --------------------------
#
# A household churns here that does not buy for 14 days. We learn from earlier cutoffs whose labels were all known on 30
# November, and test on the next two weeks.

cutoffs = rolling_cutoffs(past, horizon=14, n_cutoffs=4, step=21, end="2017-12-01")
features = ChurnFeatures(log=log, windows=(14, 30, 90))
learned = features.fit_transform(churn_labels(past, cutoffs, horizon=14, observed_until="2017-12-01"))
tested = features.transform(churn_labels(log, "2017-12-01", horizon=14))
print(learned.groupby("cutoff")["churned"].mean().round(3).to_dict())

model = ChurnClassifier(cv=3).fit(learned)
risk = model.predict_proba(tested)[:, 1]
print(f"lift of the first tenth: {lift_score(tested['churned'], risk):.2f}, by silence alone: ", end="")
print(f"{lift_score(tested['churned'], tested['inactivity']):.2f}")

# %%
# The gains curve sets the model against the simplest rule, the longest silence first.

figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
GainsDisplay.from_predictions(tested["churned"], risk, name="Model", ax=ax)
GainsDisplay.from_predictions(tested["churned"], tested["inactivity"], name="Silence", ax=ax)

# %%
# :class:`~custanalytics.customer360.Customer360` does all of this in one call, without the policy, which only you know.
