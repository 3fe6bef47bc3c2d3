"""
Who moved, and what moved them
==============================

Between the end of September and the end of December 1997 many of CDNOW's customers changed segment. Some bought, for
some only time passed, and for some only the scale changed. A table of moves shows the sum of the three;
here we part them.
"""

# %%
# The same customers at two dates, scored with total spend and named by rules on recency and frequency:

from custanalytics.datasets import load_cdnow
from custanalytics.plotting import MigrationDisplay
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary, migration

log = load_cdnow()
then, now = (RFMSummary(as_of=day).fit_transform(log) for day in ("1997-09-30", "1997-12-31"))
scorer = RFMScorer(monetary="total_value", zero_apart=("f_score",))
segmenter = RFMSegmenter(rules="ten-segments")

# %%
# Cuts fitted anew at each date
# -----------------------------
#
# Rows are segments in September, columns in December. Hardly anything seems to have happened: most customers are on the
# diagonal. The bars say why. Time pushed nearly everybody down, and the new cuts, which moved along with the clock,
# pulled them up again.

moves = migration(then, now, scorer=scorer, segmenter=segmenter)
MigrationDisplay.from_migration(moves)

# %%
# Cuts frozen in September
# ------------------------
#
# A fitted scorer keeps its cuts. What moves customers now is their silence (ageing) and their purchases (behaviour).

frozen = migration(then, now, scorer=scorer.fit(then), segmenter=segmenter)
MigrationDisplay.from_migration(frozen)

# %%
# The parts add up, in customers and in money:

frozen.decomposition.round(0)

# %%
# And customer by customer: these are the ones who would have slipped, had they not bought.

path = frozen.customers
path[(path["status"] == "stayed") & path["by_ageing"] & path["by_behaviour"]].head()
