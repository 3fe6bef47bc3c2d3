"""Yearly donations to a public radio station, as counts of donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custanalytics.datasets._installed import installed_file

if TYPE_CHECKING:
    import pandas as pd


def load_donations() -> pd.DataFrame:
    """Load the donations of 11,104 people who first gave in 1995, over the six years that followed.

    The usual test bed of models with regular opportunities: in each year somebody gave or did not. Donors with the same
    summary are one row, with their number.

    Returns
    -------
    pandas.DataFrame
        One row per distinct summary, 22 in all:

        - ``frequency`` (int64): in how many of the six years they gave;
        - ``recency`` (int64): the number of the last of these years, 0 for none;
        - ``T`` (int64): 6;
        - ``customers`` (int64): how many donors this is.

    Raises
    ------
    MissingExtraError
        Where the package ``Lifetimes``, whose wheel ships the file, is not installed. It is not imported.

    See Also
    --------
    load_cdnow : Purchases at any time.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie and J. Shang (2010), "Customer-Base Analysis in a Discrete-Time Noncontractual
       Setting", Marketing Science 29(6), table 1, https://doi.org/10.1287/mksc.1100.0580.

    Examples
    --------
    >>> from custanalytics.datasets import load_donations
    >>> table = load_donations()
    >>> table.shape, int(table["customers"].sum())
    ((22, 4), 11104)
    """
    import pandas as pd

    rows = pd.read_csv(installed_file("lifetimes", "Lifetimes", "datasets", "donations.csv"))
    return rows.rename(columns={"periods": "T", "weights": "customers"}).astype("int64")
