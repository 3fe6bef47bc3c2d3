"""The CDNOW purchase log: one cohort of first-time buyers, followed for a year and a half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custanalytics._params import BOOLEAN, check_value
from custanalytics.datasets._installed import installed_file

if TYPE_CHECKING:
    import pandas as pd


def load_cdnow(*, sample: bool = True) -> pd.DataFrame:
    """Load the CDNOW log: purchases of CDs by people who first bought in the first quarter of 1997.

    The log ends on 1998-06-30. It is the usual test bed of buy-till-you-die models: half of the customers
    buy once. It holds no returns and no products, and times are days.

    Parameters
    ----------
    sample : bool, default=True
        Whether to load the systematic 1/10 sample of the published studies (2,357 customers, 6,919 rows) or the
        whole cohort (23,570 customers, 69,659 rows).

    Returns
    -------
    pandas.DataFrame
        One row per purchase, by customer and day:

        - ``customer_id`` (int64): in the sample, the number of the customer within the sample, 1 to 2357;
        - ``timestamp`` (datetime64[us]): the day;
        - ``quantity`` (int64): how many CDs;
        - ``amount`` (float64): what was paid, in US dollars; a few free orders have 0.

    Raises
    ------
    MissingExtraError
        Where the package ``Lifetimes``, whose wheel ships the files, is not installed. It is not imported.

    See Also
    --------
    load_complete_journey : A log with products, baskets and campaigns.
    simulate_transactions : A log whose truth is known.

    References
    ----------
    .. [1] Fader, P. S. and Hardie, B. G. S. (2001), "Forecasting repeat sales at CDNOW: a case study",
       Interfaces 31(3), S94-S107. https://doi.org/10.1287/inte.31.3s.94.9683

    Examples
    --------
    >>> from custanalytics.datasets import load_cdnow
    >>> log = load_cdnow()
    >>> log.shape
    (6919, 4)
    >>> log["customer_id"].nunique()
    2357
    """
    check_value("sample", sample, (BOOLEAN,), "load_cdnow")
    import pandas as pd

    name = "CDNOW_sample.txt" if sample else "CDNOW_master.txt"
    path = installed_file("lifetimes", "Lifetimes", "datasets", name)
    names = ["customer_id", "timestamp", "quantity", "amount"]
    if sample:
        names.insert(0, "cohort_id")
    rows = pd.read_csv(
        path,
        sep=r"\s+",
        header=None,
        skiprows=0 if sample else 1,
        names=names,
        dtype={"timestamp": str},
    )
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], format="%Y%m%d").astype("datetime64[us]")
    return rows[["customer_id", "timestamp", "quantity", "amount"]]
