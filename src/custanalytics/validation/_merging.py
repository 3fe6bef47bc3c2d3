"""What the two resolvers share: ids, survivors, the merge map and its use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._output import FrameTransformer
from custanalytics._params import check_columns, offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._customer_ids import CUSTOMER_COLUMNS, SURVIVOR_ID, read_named, renaming
from custanalytics.validation._merge_map import apply_merge_map


class Merging(FrameTransformer):
    """From groups of ids to a merge map; `transform` applies it."""

    columns: Mapping[str, str] | None
    max_group: int
    earliest: str | None
    merge_map_: Any

    def transform(self, frame: Any) -> Any:
        """Give every id of a log, a table or a ledger the id that survives.

        Parameters
        ----------
        frame : frame
            With the column customer_id (or your name of it, see `columns`).

        Returns
        -------
        frame
            Of the kind that came in; see `apply_merge_map`, which also counts and keeps the ids as they came.
        """
        check_is_fitted(self, "merge_map_")
        data = _frames.read(frame, owner=type(self).__name__)
        names = renaming(self.columns, CUSTOMER_COLUMNS, type(self).__name__)
        yours = [name for name, standard in names.items() if standard == CUSTOMER_ID]
        column = yours[0] if yours and yours[0] in data.columns else CUSTOMER_ID
        check_columns(data.columns, [column], type(self).__name__)
        merged = apply_merge_map(data.to_native(), self.merge_map_, column=column)
        return self._give(_frames.read(merged))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The columns of what `transform` gives: those that it is given.

        Parameters
        ----------
        input_features : sequence of str
            The columns of the frame.

        Returns
        -------
        ndarray of str
        """
        if input_features is None:
            raise ValueError(f"{type(self).__name__} changes no names of columns: pass input_features=frame.columns.")
        return np.array(list(input_features), dtype=object)

    def _read(self, customers: Any) -> nw.DataFrame[Any]:
        return read_named(customers, self.columns, CUSTOMER_COLUMNS, (CUSTOMER_ID,), type(self).__name__)

    def _ids(self, frame: nw.DataFrame[Any]) -> tuple[np.ndarray, nw.Series[Any]]:
        """The code of every row's id, in ascending order of the ids, and the distinct ids."""
        codes, known = _frames.codes(frame, CUSTOMER_ID)
        if (codes < 0).any():
            raise InvalidDataError(
                offenders(codes < 0, range(codes.size), "have no customer_id", "rows")
                + ". Run the table through CustomerValidator first."
            )
        return codes, known

    def _age(self, frame: nw.DataFrame[Any], ids: np.ndarray, n: int) -> np.ndarray:
        """The earliest time of each id in the column `earliest`: smaller is older, a missing one the youngest."""
        oldest = np.full(n, np.iinfo(np.int64).max)
        if self.earliest is not None:
            check_columns(frame.columns, [self.earliest], type(self).__name__)
            times = _frames.times(frame, self.earliest)
            given = times != _frames.NO_TIME
            np.minimum.at(oldest, ids[given], times[given])
        return oldest

    def _merge(self, frame: nw.DataFrame[Any], known: nw.Series[Any], group: np.ndarray, age: np.ndarray) -> None:
        """Find who survives in each group that is small enough."""
        n = group.size
        sizes = np.bincount(group, minlength=1)[group]
        small = (sizes > 1) & (sizes <= self.max_group)
        order = np.lexsort((np.arange(n), age, group))
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        survivor_of = np.empty(n, np.int64)
        survivor_of[group[order[starts]]] = order[starts]
        self._survivor = np.where(small, survivor_of[group], np.arange(n))
        large = np.flatnonzero(sizes > self.max_group)
        number = np.unique(group[large], return_inverse=True)[1]
        by_group = np.lexsort((large, number))
        ids = _frames.take(known, large[by_group])
        self.large_groups_ = _frames.build(frame, {CUSTOMER_ID: ids, "group": number[by_group]}).to_native()
        merged = int((self._survivor != np.arange(n)).sum())
        self.counts_ = {
            "customers": n,
            "people": n - merged,
            "merged": merged,
            "groups": int(np.unique(group[small]).size),
            "largest_group": int(sizes[small].max(initial=0)),
            "in_large_groups": int(large.size),
        }

    def _map(self, frame: nw.DataFrame[Any], known: nw.Series[Any], more: Mapping[str, np.ndarray]) -> Any:
        """The merge map, with more columns of arrays of shape (n_customers,)."""
        goes = np.flatnonzero(self._survivor != np.arange(self._survivor.size))
        columns: dict[str, Any] = {
            CUSTOMER_ID: _frames.take(known, goes),
            SURVIVOR_ID: _frames.take(known, self._survivor[goes]).alias(SURVIVOR_ID),
        }
        del self._survivor
        for name, values in more.items():
            chosen = values[goes]
            columns[name] = texts(frame, name, chosen.tolist()) if values.dtype == object else chosen
        return _frames.build(frame, columns).to_native()


def texts(frame: nw.DataFrame[Any], name: str, values: list[Any]) -> nw.Series[Any]:
    """A column of texts, also where there are none."""
    return nw.new_series(name, values, dtype=nw.String, backend=frame.implementation)
