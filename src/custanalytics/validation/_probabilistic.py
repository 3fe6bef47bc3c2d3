"""Find the customers who are one person by probability, where keys are mistyped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from types import ModuleType
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import (
    NONE,
    TEXT,
    InstanceOf,
    Number,
    Rule,
    check_columns,
    check_params,
    integer,
    require_extra,
)
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._customer_ids import (
    ADDRESS,
    BIRTH_DATE,
    CITY,
    CUSTOMER_COLUMNS,
    EMAIL,
    NAME,
    PHONE,
    POSTCODE,
)
from custanalytics.validation._keys import normal_column
from custanalytics.validation._merge_map import groups
from custanalytics.validation._merging import Merging

_COMPARED = (NAME, BIRTH_DATE, EMAIL, PHONE, POSTCODE, ADDRESS, CITY)
_SURE = ((EMAIL,), (PHONE,), (NAME, BIRTH_DATE))  # what is enough to guess how many pairs are the same person
_RECALL = 0.7
_DOUBLED = 0.02  # share of pairs per customer, where no pair is sure: one customer in a hundred has a second id
_ROW = "unique_id"
_FEW = 2_000_000  # pairs that agree in a column which are always compared
_FEW_EACH = 100  # and per customer, so that the time grows with the table and not with its square


class ProbabilisticResolver(Merging, BaseEstimator):
    """Find the ids that belong to one person although names, dates and addresses were mistyped.

    Pairs that agree exactly in at least one column are compared in all of them by the model of Fellegi and Sunter [1]_,
    which ``splink`` estimates from the table itself, without labels. Where millions of pairs (and more than a hundred
    for each customer) agree in a column, such as the city, it takes a second one that they agree in. Pairs above
    `threshold` are linked, and linked groups are merged. Needs ``pip install 'custanalytics[identity,contact]'``.

    It learns from the data how much each column tells: give it thousands of customers and at least three columns that
    are filled in independently of each other. On a small table, or where everything is spelt right, `IdentityResolver`
    is the better tool. Look at the links just above the threshold before they are applied.

    Parameters
    ----------
    columns : mapping, default=None
        Standard names to yours, as for `CustomerValidator`.
    compare : sequence of str, default=None
        The columns to compare, at least two. None takes name, birth_date, email, phone, postcode, address and city,
        those that are there.
    threshold : float, default=0.99
        Pairs that are the same person with at least this probability are linked.
    country : str, default=None
        Where phone numbers without an international prefix are dialled.
    max_group : int, default=20
        A group of more ids than this is not merged; see `IdentityResolver`.
    earliest : str, default=None
        A column of dates: the id with the earliest survives. None: the smallest id survives.
    max_pairs : int, default=2_000_000
        Random pairs to learn from how often strangers agree.
    random_state : int, default=0
        The seed of these pairs.

    Attributes
    ----------
    merge_map_ : frame
        Of the kind given to `fit`: customer_id, survivor_id and probability (that of the surest link of the id that
        goes), one row for each id that goes, in ascending order.
    links_ : frame
        customer_id, other_id and probability: all pairs above the threshold, the surest first.
    large_groups_ : frame
        As for `IdentityResolver`.
    counts_ : dict of str to int
        As for `IdentityResolver`.

    See Also
    --------
    IdentityResolver : By keys that agree exactly.
    apply_merge_map : Applies the result to any frame, and counts.

    Notes
    -----
    With the levels of agreement :math:`\\gamma` of a pair, its probability follows from the odds

    .. math::

        \\frac{\\lambda}{1 - \\lambda} \\prod_j \\frac{m_j(\\gamma_j)}{u_j(\\gamma_j)}

    where :math:`\\lambda` is the share of pairs that are one person, guessed from pairs with the same address, number,
    or name and birth date (or as 0.02 / n, where there are none); :math:`u` is estimated from random pairs, :math:`m`
    by expectation maximization. The levels: equal, and close by the Jaro-Winkler similarity (name, address, city; 0.92
    and 0.8) or by the number of typing errors (birth date 1 and 2; the others 1). Rare names weigh more than frequent
    ones. Columns count as independent: an e-mail address made of the name counts twice, which is why only one letter
    may differ in it. What splink itself has to remark goes to the logger "splink".

    References
    ----------
    .. [1] I. P. Fellegi, A. B. Sunter (1969). A Theory for Record Linkage. Journal of the American Statistical
       Association 64 (328), 1183-1210, equations 11 and 12. https://doi.org/10.1080/01621459.1969.10501049

    Examples
    --------
    A tenth of the customers have a second account, in a name with a typing error:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from custanalytics.validation import ProbabilisticResolver
    >>> rng = np.random.default_rng(0)
    >>> syllables = [a + b for a in "bdfgklmnst" for b in "aeiou"]
    >>> customers = pd.DataFrame({
    ...     "customer_id": range(1000),
    ...     "name": ["".join(each) for each in rng.choice(syllables, (1000, 4))],
    ...     "birth_date": np.datetime_as_string(np.datetime64("1960-01-01") + rng.integers(0, 15_000, 1000)),
    ...     "postcode": rng.integers(10_000, 10_100, 1000),
    ... })
    >>> again = customers.head(100).assign(customer_id=range(1000, 1100))
    >>> again["name"] = again["name"].where(again.index < 50, again["name"].str[:-1] + "x")
    >>> resolver = ProbabilisticResolver().fit(pd.concat([customers, again]))
    >>> resolver.counts_["merged"]
    100
    >>> resolver.merge_map_.head(2)
       customer_id  survivor_id  probability
    0         1000            0          1.0
    1         1001            1          1.0
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "compare": (InstanceOf((list, tuple)), NONE),
        "threshold": (Number(0, 1, closed="neither"),),
        "country": (TEXT, NONE),
        "max_group": (integer(2),),
        "earliest": (TEXT, NONE),
        "max_pairs": (integer(1),),
        "random_state": (integer(0),),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        compare: Sequence[str] | None = None,
        threshold: float = 0.99,
        country: str | None = None,
        max_group: int = 20,
        earliest: str | None = None,
        max_pairs: int = 2_000_000,
        random_state: int = 0,
    ) -> None:
        self.columns = columns
        self.compare = compare
        self.threshold = threshold
        self.country = country
        self.max_group = max_group
        self.earliest = earliest
        self.max_pairs = max_pairs
        self.random_state = random_state

    def fit(self, customers: Any, y: Any = None) -> Self:
        """Estimate the model and link the pairs.

        Parameters
        ----------
        customers : frame
            A customers' table: customer_id and the columns to compare. An id may have several rows.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If there is no customer_id, or a column to compare is missing.
        MissingExtraError
            If splink is not installed.
        InvalidDataError
            If an id is missing, or no two customers agree in any column.
        """
        check_params(self, self._rules)
        splink = require_extra("splink", "identity", "ProbabilisticResolver")
        frame = self._read(customers)
        names = self._compared(frame)
        ids, known = self._ids(frame)
        table: dict[str, list[Any]] = {_ROW: list(range(len(frame)))}
        for name in names:
            codes, words = normal_column(frame, name, self.country, aliases=False)
            table[_plain(name, names)] = np.array([*words, None], object)[codes].tolist()
        found = self._link(splink, table, [_plain(name, names) for name in names])
        left, right = (ids[np.asarray(found[f"{_ROW}_{side}"], np.int64)] for side in "lr")
        probability = np.asarray(found["match_probability"], np.float64)
        apart = left != right
        left, right, probability = left[apart], right[apart], probability[apart]
        surest = np.zeros(len(known))
        for side in (left, right):
            np.maximum.at(surest, side, probability)
        self._merge(frame, known, groups(len(known), left, right)[1], self._age(frame, ids, len(known)))
        self.merge_map_ = self._map(frame, known, {"probability": surest})
        order = np.lexsort((np.maximum(left, right), np.minimum(left, right), -probability))
        low, high = np.minimum(left, right)[order], np.maximum(left, right)[order]
        links = {CUSTOMER_ID: _frames.take(known, low), "other_id": _frames.take(known, high).alias("other_id")}
        self.links_ = _frames.build(frame, {**links, "probability": probability[order]}).to_native()
        return self

    def _compared(self, frame: nw.DataFrame[Any]) -> list[str]:
        wanted = [name for name in _COMPARED if name in frame.columns] if self.compare is None else list(self.compare)
        if len(wanted) < 2:
            raise ValueError(
                f"ProbabilisticResolver compares at least two columns; got {wanted} of {list(frame.columns)}. Name "
                f"them with columns={{...}} or compare=[...]; the standard names are {list(CUSTOMER_COLUMNS)}."
            )
        check_columns(frame.columns, wanted, type(self).__name__)
        return wanted

    def _link(self, splink: ModuleType, table: dict[str, list[Any]], names: list[str]) -> dict[str, list[Any]]:
        """The pairs above the threshold: unique_id_l, unique_id_r and match_probability."""
        library = require_extra("splink.comparison_library", "identity", "ProbabilisticResolver")
        failures = require_extra("splink.internals.exceptions", "identity", "ProbabilisticResolver").SplinkException
        filled = [name for name in names if any(value is not None for value in table[name])]
        if len(filled) < 2:
            raise InvalidDataError(
                f"ProbabilisticResolver compares at least two columns, but only {len(filled)} of {len(names)} are "
                "filled in any row. Are they named with columns={...}?"
            )
        given = {name: table[name] for name in filled}
        if not any(map(_agreeing, given.values())):
            raise InvalidDataError(
                f"No two customers agree in any of the columns {names}: there is nothing to learn from. Are they named "
                "with columns={...}?"
            )
        compared = [splink.block_on(*each) for each in blocks(given)]
        if not compared:
            raise InvalidDataError(
                f"Of {len(table[_ROW]):,} customers, millions of pairs agree in each of the columns {names} that any "
                "agree in: these do not tell people apart. Give it columns that do, such as email or birth_date."
            )
        certain = [columns for columns in _SURE if set(columns) <= set(filled)]
        sure = [splink.block_on(*each) for each in certain if _agreeing(_together(given, each))]
        api = splink.DuckDBAPI()
        try:
            settings = splink.SettingsCreator(
                link_type="dedupe_only",
                unique_id_column_name=_ROW,
                comparisons=[_comparison(library, name) for name in filled],
                blocking_rules_to_generate_predictions=compared,
                probability_two_random_records_match=min(0.5, _DOUBLED / len(table[_ROW])),
                retain_matching_columns=False,
            )
            linker = splink.Linker(api.register(table), settings, log_level=None)
            if sure:
                linker.training.estimate_probability_two_random_records_match(sure, recall=_RECALL)
            linker.training.estimate_u_using_random_sampling(max_pairs=float(self.max_pairs), seed=self.random_state)
            for rule in compared[:2]:  # each leaves out its own column
                linker.training.estimate_parameters_using_expectation_maximisation(rule)
            return linker.inference.predict(threshold_match_probability=self.threshold).as_dict()
        except failures as error:
            raise InvalidDataError(
                f"splink could not estimate the model: {error} Are there thousands of customers, and several who are "
                "one person? IdentityResolver needs neither."
            ) from error
        finally:
            api.duckdb_con.close()


def _plain(name: str, names: list[str]) -> str:
    """A name that needs no quoting in SQL."""
    return name if name in CUSTOMER_COLUMNS else f"column_{names.index(name)}"


def _comparison(library: ModuleType, name: str) -> Any:
    if name in (NAME, ADDRESS, CITY):
        return library.JaroWinklerAtThresholds(name, [0.92, 0.8]).configure(term_frequency_adjustments=True)
    if name == BIRTH_DATE:
        return library.DamerauLevenshteinAtThresholds(name, [1, 2])
    return library.LevenshteinAtThresholds(name, [1])


def blocks(table: Mapping[str, list[Any]]) -> list[tuple[str, ...]]:
    """What a pair has to agree in to be compared: one column, or two of those in which too many pairs agree."""
    room = max(_FEW, _FEW_EACH * len(next(iter(table.values()))))
    pairs: dict[tuple[str, ...], int] = {(name,): _agreeing(values) for name, values in table.items()}
    common = [name for name in table if pairs[(name,)] > room]
    pairs |= {both: _agreeing(_together(table, both)) for both in combinations(common, 2)}
    return [columns for columns, n in pairs.items() if 0 < n <= room]


def _together(table: Mapping[str, list[Any]], columns: Sequence[str]) -> list[Any]:
    rows = zip(*(table[name] for name in columns), strict=True)
    return [None if None in row else row for row in rows]


def _agreeing(values: list[Any]) -> int:
    """How many pairs of rows have the same value."""
    return sum(n * (n - 1) // 2 for n in Counter(value for value in values if value is not None).values())
