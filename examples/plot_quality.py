"""
How good is this log?
=====================

A shop exports its sales. Some rows have no customer, some ids end in a space, one piece was loaded twice, and for a
while the export wrote amounts with a decimal comma. We validate the log, look at its quality over time, repair what is
safe to repair, and undo it again.
"""

# %%
# A log with a history
# --------------------
#
# Sales are simulated; the faults are put in by hand, so that we know what should be found.

import narwhals as nw
import numpy as np
import pandas as pd

from custanalytics.datasets import simulate_transactions
from custanalytics.plotting import QualityDisplay
from custanalytics.validation import TransactionValidator, ValidationRule

rng = np.random.default_rng(7)
log = simulate_transactions(n_customers=2_000, n_products=5, seed=7).log[
    ["customer_id", "timestamp", "product_id", "amount"]
]
log = log.sort_values("timestamp", ignore_index=True).assign(
    customer_id=lambda log: "C" + log["customer_id"].astype(str)
)
share = np.linspace(0, 1, len(log))
guests = rng.random(len(log)) < 0.02 + 0.1 * share  # ever more people buy without an account
log.loc[guests, "customer_id"] = "guest"
log.loc[rng.random(len(log)) < 0.01, "customer_id"] += " "
log["amount"] = log["amount"].round(2).astype(object)
comma = (share > 0.6) & (share < 0.75)  # the export that changed
log.loc[comma, "amount"] = log.loc[comma, "amount"].map(lambda amount: f"{amount:.2f}".replace(".", ","))
log = pd.concat([log, log.iloc[-400:-300]], ignore_index=True)  # a piece loaded twice
log.iloc[[0, -1]]

# %%
# What is wrong with it
# ---------------------
#
# A rule of our own is added to those of the library: hardly anything in this shop costs more than 60. It is a warning:
# such rows stay in the log.

dear = ValidationRule("dear", nw.col("amount") > 60, severity="warning", message="the amount is beyond 60")
validator = TransactionValidator(custom_rules=[dear]).fit(log)
clean = validator.transform(log)
report = validator.report_
print("\n".join(line for line in str(report).splitlines() if " 0  100.00 %" not in line))

# %%
# When did it go wrong?
# ---------------------
#
# The scores of the rules that were broken, by quarter. The export that changed is a dark stretch; purchases without an
# account grow slowly.

QualityDisplay.from_report(report, period="Q")

# %%
# Which rules are broken together
# -------------------------------
#
# One cause may break two rules. The diagonal counts all rows that break a rule.

QualityDisplay.from_report(report, kind="together")

# %%
# Repair what is safe to repair
# -----------------------------
#
# "10,05" has one reading, so the amounts come back; ids lose their spaces; what was loaded twice is dropped. Guests
# stay in quarantine: nobody can say who they were.

mender = TransactionValidator(custom_rules=[dear], on_error="repair").fit(log)
repaired = mender.transform(log)
print(str(mender.report_).splitlines()[0])
mender.report_.repairs.groupby("rule").head(2)

# %%
# Every change is on record, and can be undone. With the quarantine, the rows behind the repaired log are the log.

back = mender.restore(repaired)
print(len(back) + len(mender.quarantine_) == len(log), back.equals(log.drop(index=mender.quarantine_["row"])))
