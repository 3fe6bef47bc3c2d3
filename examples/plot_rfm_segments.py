"""
Segments that hold together
===========================

CDNOW's customers of the first quarter of 1997, as of 30 September. Three in five never came back, so that scores are
full of ties. We score them so that no segment is lost, name the segments, look at them, and ask why one customer is
where she is.
"""

# %%
# Ties, and what they do
# ----------------------
#
# The mean spend of those who never came back is 0. They share the lowest score for frequency and the lowest for
# money, and two of the eleven usual segments can have nobody in them. Fitting the segmenter warns of that; here we ask
# for the reasons.

from custanalytics.datasets import load_cdnow
from custanalytics.plotting import RFMDisplay
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary, RuleTable

table = RFMSummary(as_of="1997-09-30").fit_transform(load_cdnow())
tied = RFMScorer().fit_transform(table)
print(RFMSegmenter(on_unreachable="ignore").fit(tied).unreachable_)

# %%
# Total spend has hardly any ties, and keeping zero apart lets those who came back share four scores evenly. Now every
# segment is within reach.

scorer = RFMScorer(monetary="total_value", zero_apart=("f_score",)).fit(table)
scored = scorer.transform(table)
segmenter = RFMSegmenter().fit(scored)
segmented = segmenter.transform(scored)
print(segmenter.unreachable_)

# %%
# Where the customers are, and where the money
# --------------------------------------------

RFMDisplay.from_table(segmented)

# %%

RFMDisplay.from_table(segmented, value="total_value")

# %%
# The same customers by segment: area is their number, colour what one of them has spent.

RFMDisplay.from_table(segmented, value="total_value", kind="treemap")

# %%
# Why this segment?
# -----------------
#
# The rule that fits, the cuts on both sides of each value, and for every other segment the smallest change that
# leads to it. Durations are in weeks, money in dollars.

print(segmenter.explain(2, table, scorer=scorer, time_unit="W"))

# %%
# Rules of your own
# -----------------
#
# A line per segment. That every combination of scores has exactly one segment is proven when the table is made.

rules = RuleTable.from_text("""
    core:    [4-5][3-5]    # recent and regular
    new:     [4-5][1-2]
    fading:  [2-3]*
    lost:    1*
""")
print(rules.describe())
RFMDisplay.from_table(RFMSegmenter(rules=rules).fit_transform(scored), value="total_value", kind="treemap")
