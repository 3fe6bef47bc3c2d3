"""Find the customers who are one person by the keys that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator

from custanalytics import _frames
from custanalytics._params import BOOLEAN, NONE, TEXT, InstanceOf, Rule, check_columns, check_params, integer
from custanalytics.validation._keys import USUAL_KEYS, Key, read_key
from custanalytics.validation._merge_map import groups
from custanalytics.validation._merging import Merging, texts


class IdentityResolver(Merging, BaseEstimator):
    """Find the ids that belong to one person, because they share a key in its normal form.

    Two customers are one person if they share an e-mail address, a phone number, or name, birth date and postcode
    together; so are two who are both one person with a third. The result is a merge map, to be looked at, and then
    applied to the log, the table and the consents.

    A wrong merge mixes two people's purchases and consents, which is worse than a duplicate. A family may share a phone
    number: where that is likely, pass ``keys=["email", ("phone", "name")]``. A key that many share (the shop's own
    number, an address made up by a clerk) identifies nobody: see `max_sharing`.

    Needs ``pip install 'custanalytics[contact]'`` for the keys email and phone.

    Parameters
    ----------
    columns : mapping, default=None
        Standard names to yours, as for `CustomerValidator`.
    keys : sequence of str or of tuple of str, default=None
        Each a column, or several that have to agree together. None takes "email", "phone" and ("name", "birth_date",
        "postcode"), those whose columns are there.
    country : str, default=None
        Where phone numbers without an international prefix are dialled, such as "US"; a column country goes before.
    email_aliases : bool, default=False
        Whether to leave out what follows a plus sign, and the points at Google, where the provider does so too.
    max_sharing : int, default=5
        A value that more customers than this share is no key. They are listed in `shared_keys_`.
    max_group : int, default=20
        A group of more ids than this is not merged, since a chain of accidents is likelier than so many accounts. They
        are listed in `large_groups_`.
    earliest : str, default=None
        A column of dates, such as when the account was opened: the id with the earliest survives, the smallest id among
        equals. None: the smallest id survives.

    Attributes
    ----------
    merge_map_ : frame
        Of the kind given to `fit`: customer_id, survivor_id and matched_by (the keys shared with others of the group,
        joined by ";"), one row for each id that goes, in ascending order.
    shared_keys_ : frame
        key, value and customers: the values that were left out because too many share them.
    large_groups_ : frame
        customer_id and group (a number from 0): the members of groups that were not merged.
    counts_ : dict of str to int
        `customers` = `people` + `merged`; `groups` merged, the `largest_group` among them, and `in_large_groups`:
        customers who were not merged because of `max_group`.

    See Also
    --------
    ProbabilisticResolver : Where keys are mistyped.
    apply_merge_map : Applies the result to any frame, and counts.
    ConsentLedger.merged : Applies it to consents: opt-outs hold for the person.

    Notes
    -----
    Normal forms: of an e-mail address that of `CustomerValidator` in lower case; of a phone number E.164; of a name its
    words without accents, case and punctuation, in alphabetical order; of a date ISO 8601; of any other column letters
    and digits alone. Values that are missing, stand for none or are not valid are no keys.

    The result does not depend on the order of the rows. Time grows with the number of distinct values.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import IdentityResolver
    >>> customers = pd.DataFrame({
    ...     "customer_id": [11, 12, 13, 14],
    ...     "email": ["ann@shop.de", "ANN@shop.de", "a.lee@web.de", "bob@shop.de"],
    ...     "phone": ["+4915123456789", None, "+49 151 2345 6789", "+4915123450000"],
    ... })
    >>> resolver = IdentityResolver().fit(customers)
    >>> resolver.merge_map_
       customer_id  survivor_id matched_by
    0           12           11      email
    1           13           11      phone
    >>> resolver.counts_["customers"], resolver.counts_["people"]
    (4, 2)
    >>> resolver.transform(pd.DataFrame({"customer_id": [13, 14, 12], "amount": [5.0, 7.0, 1.0]}))
       customer_id  amount
    0           11     5.0
    1           14     7.0
    2           11     1.0
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "keys": (InstanceOf((list, tuple)), NONE),
        "country": (TEXT, NONE),
        "email_aliases": (BOOLEAN,),
        "max_sharing": (integer(2),),
        "max_group": (integer(2),),
        "earliest": (TEXT, NONE),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        keys: Sequence[str | tuple[str, ...]] | None = None,
        country: str | None = None,
        email_aliases: bool = False,
        max_sharing: int = 5,
        max_group: int = 20,
        earliest: str | None = None,
    ) -> None:
        self.columns = columns
        self.keys = keys
        self.country = country
        self.email_aliases = email_aliases
        self.max_sharing = max_sharing
        self.max_group = max_group
        self.earliest = earliest

    def fit(self, customers: Any, y: Any = None) -> Self:
        """Find the groups of ids that are one person.

        Parameters
        ----------
        customers : frame
            A customers' table: customer_id and the columns of the keys. An id may have several rows.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If there is no customer_id, or not the columns of a key.
        InvalidDataError
            If an id is missing.
        """
        check_params(self, self._rules)
        frame = self._read(customers)
        wanted = self._keys(frame)
        ids, known = self._ids(frame)
        keys = [read_key(frame, key, self.country, aliases=bool(self.email_aliases)) for key in wanted]
        links = [self._links(key, ids) for key in keys]
        self._note_shared(frame, keys, links)
        matched = np.zeros(len(known), np.int64)
        left, right, n_nodes = [], [], len(known)
        for at, (pairs, times) in enumerate(links):
            pairs = pairs[(times > 1) & (times <= self.max_sharing)]
            values, value = np.unique(pairs[:, 0], return_inverse=True)
            left.append(pairs[:, 1])
            right.append(n_nodes + value)
            n_nodes += values.size
            matched[pairs[:, 1]] |= 1 << at
        group = groups(n_nodes, np.concatenate(left), np.concatenate(right))[1][: len(known)]
        found, which = np.unique(matched, return_inverse=True)
        names = [";".join(key.name for at, key in enumerate(keys) if bits & 1 << at) for bits in found.tolist()]
        self._merge(frame, known, group, self._age(frame, ids, len(known)))
        self.merge_map_ = self._map(frame, known, {"matched_by": np.array([*names, ""], object)[which]})
        return self

    def _keys(self, frame: nw.DataFrame[Any]) -> list[tuple[str, ...]]:
        """The columns of each key."""
        given = USUAL_KEYS if self.keys is None else self.keys
        keys = [tuple(key) if isinstance(key, list | tuple) else (key,) for key in given]
        if self.keys is None:
            keys = [key for key in keys if set(key) <= set(frame.columns)]
        owner = type(self).__name__
        if not keys and self.keys is None:
            check_columns(frame.columns, list(USUAL_KEYS[0]), owner, "Or name the columns to go by: keys=[...].")
        if not keys or not all(key and all(isinstance(name, str) for name in key) for key in keys):
            raise ValueError(
                f"The 'keys' parameter of {owner} must hold names of columns, or tuples of them. Got {self.keys!r} "
                "instead."
            )
        check_columns(frame.columns, list(dict.fromkeys(name for key in keys for name in key)), owner)
        return keys

    @staticmethod
    def _links(key: Key, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distinct pairs of value and id, and how many ids share the value of each pair."""
        width = int(ids.max(initial=0)) + 1
        pairs = np.unique((key.codes * width + ids)[key.codes >= 0])
        pairs = np.column_stack([pairs // width, pairs % width])
        return pairs, np.bincount(pairs[:, 0], minlength=1)[pairs[:, 0]]

    def _note_shared(
        self, frame: nw.DataFrame[Any], keys: list[Key], links: list[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        rows: list[tuple[str, str, int]] = []
        for key, (pairs, times) in zip(keys, links, strict=True):
            codes, counts = np.unique(pairs[times > self.max_sharing, 0], return_counts=True)
            distinct_codes, first = np.unique(key.codes, return_index=True)
            where = dict(zip(distinct_codes.tolist(), first.tolist(), strict=True)) if codes.size else {}
            found = [(key.text(where[code]), n) for code, n in zip(codes.tolist(), counts.tolist(), strict=True)]
            rows += [(key.name, text, n) for text, n in sorted(found, key=lambda each: (-each[1], each[0]))]
        self.shared_keys_ = _frames.build(
            frame,
            {
                "key": texts(frame, "key", [row[0] for row in rows]),
                "value": texts(frame, "value", [row[1] for row in rows]),
                "customers": np.array([row[2] for row in rows], np.int64),
            },
        ).to_native()
