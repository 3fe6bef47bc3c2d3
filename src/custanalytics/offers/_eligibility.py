"""Who may be given what: masks and lists of pairs, checked once and read a tile of customers at a time."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from scipy.sparse import coo_array, csr_array

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.offers._customers import as_array, positions

OFFER = "offer"


class Policy:
    """Which of `offers` each row of a list of customers may be given."""

    def __init__(self, customers: nw.DataFrame[Any], offers: np.ndarray, eligibility: Any, exclude: Any) -> None:
        self.customers, self.offers = customers, offers
        self.open = np.ones(offers.size, np.bool_)
        self.mask: np.ndarray | None = None
        self.permitted: csr_array | None = None
        self.barred: csr_array | None = None
        if eligibility is not None:
            if _frames.is_frame(eligibility):
                self.permitted = self._pairs(eligibility, "eligibility")
            else:
                self._take_mask(np.asarray(eligibility))
        if exclude is not None:
            if _frames.is_frame(exclude):
                self.barred = self._pairs(exclude, "exclude")
            else:
                self._bar(exclude)

    def tile(self, start: int, stop: int) -> np.ndarray:
        """The eligibility of some rows as a new boolean array (stop - start, n_offers)."""
        allowed = np.empty((stop - start, self.offers.size), np.bool_)
        allowed[:] = self.open
        if self.mask is not None:
            allowed &= self.mask[start:stop]
        if self.permitted is not None:
            allowed &= self.permitted[start:stop].toarray()
        if self.barred is not None:
            allowed &= ~self.barred[start:stop].toarray()
        return allowed

    def _take_mask(self, mask: np.ndarray) -> None:
        n_customers, n_offers = len(self.customers), self.offers.size
        if mask.dtype != np.bool_:
            raise ValueError(
                f"The eligibility mask must be boolean; got {mask.dtype}. Say what a missing value or a number means, "
                "for example with eligibility == 1."
            )
        if mask.shape not in ((n_offers,), (n_customers, n_offers)):
            raise ValueError(
                f"The eligibility mask must have the shape (n_offers,) = ({n_offers},) or (n_customers, n_offers) = "
                f"({n_customers}, {n_offers}), its columns in the order of offers_; got {mask.shape}."
            )
        if mask.ndim == 1:
            self.open &= mask
        else:
            self.mask = mask

    def _bar(self, exclude: Any) -> None:
        if isinstance(exclude, str) or not hasattr(exclude, "__len__"):
            raise ValueError(
                f"The 'exclude' argument must be a sequence of offers or a frame with the columns "
                f"{[CUSTOMER_ID, OFFER]}. Got {exclude!r} instead."
            )
        if len(exclude):
            listed = _frames.read({OFFER: np.asarray(exclude)})
            self.open[self._offers(listed, "exclude")] = False

    def _pairs(self, data: Any, name: str) -> csr_array:
        frame = _frames.read(data, (CUSTOMER_ID, OFFER), f"The {name!r} argument of NextBestOffer")
        if len(frame) == 0:
            return csr_array((len(self.customers), self.offers.size), dtype=np.bool_)
        offer = self._offers(frame, name)
        ids, distinct = _frames.codes(self.customers, CUSTOMER_ID)
        known = as_array(distinct.to_list())
        customer = positions(known, frame, CUSTOMER_ID, f"the {name!r} argument of NextBestOffer")
        met = customer >= 0
        pairs = coo_array(
            (np.ones(met.sum(), np.bool_), (customer[met], offer[met])), shape=(known.size, self.offers.size)
        )
        return pairs.tocsr()[ids]

    def _offers(self, frame: nw.DataFrame[Any], name: str) -> np.ndarray:
        offer = positions(self.offers, frame, OFFER, f"the {name!r} argument of NextBestOffer")
        if (offer < 0).any():
            raise InvalidDataError(
                offenders(offer < 0, frame[OFFER], f"of the {name!r} argument name an unknown offer", "rows")
                + ". The offers are those in offers_: correct the spelling, raise max_offers, or filter the others out."
            )
        return offer
