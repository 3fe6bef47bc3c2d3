"""Check a customers' table, and say by which channels each customer can be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._output import FrameTransformer
from custanalytics._params import NONE, TEXT, InstanceOf, OneOf, Rule, check_columns, check_params, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.validation._contacts import read_addresses, read_emails, read_phones, shared
from custanalytics.validation._customer_ids import ADDRESS, CUSTOMER_COLUMNS, EMAIL, PHONE, read_named, renaming
from custanalytics.validation._customer_report import count, texts
from custanalytics.validation._customer_rows import WRONG, bit_where, complaint, id_faults, with_whole_ids
from custanalytics.validation._customer_rules import BITS, CHANNELS, FLAG, RULES, UNREACHABLE, CustomerRule, mask
from custanalytics.validation._phones import PhoneReader
from custanalytics.validation._quarantine import set_aside

_NEEDS = {"email": EMAIL, "phone": PHONE, "sms": PHONE, "post": ADDRESS}
PLACEHOLDER_IDS = (
    *("unknown", "guest", "anonymous", "anon", "test", "dummy", "default", "undefined", "unassigned"),
    *("not available", "n/a", "#n/a", "na", "-", "?", -1),
)


class CustomerValidator(FrameTransformer, BaseEstimator):
    """Check a customers' table, one row per customer, and say by which channels each can be reached.

    E-mail addresses are checked by ``email-validator`` and phone numbers by ``phonenumbers``; both come with
    ``pip install 'custanalytics[contact]'``. No network is used: an address that passes is well formed and of a domain
    that can have mail, which does not prove that somebody reads it.

    A bad address does not set its customer aside: the customer stays, not reachable by that channel, with the reason.
    Set aside, into `quarantine_`, are only rows that are nobody's: without an id, with a placeholder for one, or with
    the id of another row. No row is lost and no value is overwritten.

    *Can* be reached is not *may* be contacted: see `ConsentLedger`.

    Parameters
    ----------
    columns : mapping, default=None
        Standard names to yours, such as ``{"customer_id": "household"}``. The standard names are customer_id and, if
        the table has them, email, phone, name, birth_date, address, postcode, city and country. Others pass through.
    country : str, default=None
        Where phone numbers without an international prefix are dialled: ISO 3166, such as "US". A column country goes
        before, row by row. With neither, such numbers are not reachable.
    channels : sequence of {"email", "phone", "sms", "post"}, default=None
        What to check. None takes those whose column is there.
    bar : sequence of str, default=()
        Flags that are to count as not reachable: of "reserved_email_domain", "disposable_email", "role_email",
        "shared_email" and "shared_phone".
    duplicates : {"first", "last", "none"}, default="first"
        Which row of an id that occurs more than once stays; "none" sets all of them aside.
    disposable_domains : sequence of str, default=()
        Domains to add to the short list of those that give addresses away for minutes.
    placeholder_ids : sequence or None, default=("unknown", "guest", "anonymous", ..., -1)
        Ids that stand for nobody, compared as text without case and surrounding space.
    on_error : {"quarantine", "raise"}, default="quarantine"
        Set rows aside, or raise an `InvalidDataError` that says what is wrong.

    Attributes
    ----------
    quarantine_ : frame
        Of the kind that came in: the rows set aside by the last `transform`, as they came, with their position `row`
        and their `reasons`, rule names joined by ";".
    report_ : CustomerReport
        Counts of the last `transform`.
    channels_ : tuple of str
        The channels that are checked.
    feature_names_in_ : ndarray of str
        The columns seen in `fit`.
    n_features_in_ : int
        How many.

    See Also
    --------
    CustomerReport : The counts.
    CustomerRule : One rule; `rules()` lists all.
    ConsentLedger : Who may be contacted.
    IdentityResolver : Finds one person behind several ids.

    Notes
    -----
    The clean table has the rows in their order, the columns under standard names, and these more:

    - ``email_normalized``: the address in its normal form (domain in lower case, Unicode composed, no surrounding
      space); missing where no mail can be sent.
    - ``phone_e164`` and ``phone_type``: the number as +49..., and the kind of its line ("mobile", "fixed_line",
      "fixed_line_or_mobile", "voip", "toll_free", ...); missing where the number is not valid.
    - ``reachable_<channel>``: boolean. By "sms" only "mobile" and "fixed_line_or_mobile" lines (in some countries, such
      as the United States, numbers do not tell) without an extension.
    - ``contact_issues``: the rules broken, joined by ";", flags included; "" where there is none.

    Addresses and numbers such as test@test.com, noemail@..., n/a and 0000000 stand for none. Numbers that arrive as
    integers or floats are read as their digits. Every distinct value is read once. Ids
    that a missing one made floats are integers again.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import CustomerValidator
    >>> customers = pd.DataFrame({
    ...     "customer_id": [1, 2, 3, None, 1],
    ...     "email": ["Ann@Shop.DE", "bob@@shop.de", "info@mailinator.com", "x@y.org", "ann@shop.de"],
    ...     "phone": ["0151 23456789", "030 901820", "n/a", None, "+4915123456789"],
    ... })
    >>> validator = CustomerValidator(country="DE")
    >>> clean = validator.fit_transform(customers)
    >>> clean[["customer_id", "email_normalized", "reachable_email"]]
       customer_id     email_normalized  reachable_email
    0            1          Ann@shop.de             True
    1            2                  NaN            False
    2            3  info@mailinator.com             True
    >>> clean[["customer_id", "phone_e164", "phone_type", "reachable_sms"]]
       customer_id      phone_e164  phone_type  reachable_sms
    0            1  +4915123456789      mobile           True
    1            2     +4930901820  fixed_line          False
    2            3             NaN         NaN          False
    >>> clean["contact_issues"].tolist()
    ['', 'invalid_email;not_a_mobile_phone', 'disposable_email;role_email;placeholder_phone']
    >>> validator.quarantine_[["row", "reasons"]]
       row                reasons
    3    3    missing_customer_id
    4    4  duplicate_customer_id
    """

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "columns": (InstanceOf((Mapping,)), NONE),
        "country": (TEXT, NONE),
        "channels": (InstanceOf((list, tuple, set, frozenset)), NONE),
        "bar": (InstanceOf((list, tuple, set, frozenset)),),
        "duplicates": (OneOf(("first", "last", "none")),),
        "disposable_domains": (InstanceOf((list, tuple, set, frozenset)),),
        "placeholder_ids": (InstanceOf((list, tuple, set, frozenset)), NONE),
        "on_error": (OneOf(("quarantine", "raise")),),
    }

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        country: str | None = None,
        channels: Sequence[str] | None = None,
        bar: Sequence[str] = (),
        duplicates: str = "first",
        disposable_domains: Iterable[str] = (),
        placeholder_ids: Iterable[Any] | None = PLACEHOLDER_IDS,
        on_error: str = "quarantine",
    ) -> None:
        self.columns = columns
        self.country = country
        self.channels = channels
        self.bar = bar
        self.duplicates = duplicates
        self.disposable_domains = disposable_domains
        self.placeholder_ids = placeholder_ids
        self.on_error = on_error

    @staticmethod
    def rules() -> tuple[CustomerRule, ...]:
        """The rules, in the order of the report.

        Returns
        -------
        tuple of CustomerRule
            Each with its name, severity, channels, description and remedy.
        """
        return RULES

    def fit(self, customers: Any, y: Any = None) -> Self:
        """Check the parameters and note the columns; nothing is learned from the rows.

        Parameters
        ----------
        customers : frame
            A customers' table: pandas, Polars or PyArrow, or a mapping of columns.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If there is no customer_id, or not the column of a channel.
        MissingExtraError
            If a package that a channel needs is not installed.
        """
        check_params(self, self._rules)
        raw = _frames.read(customers, owner=type(self).__name__)
        frame = self._read(customers)
        flags = [rule.name for rule in RULES if rule.severity == FLAG and rule.name != "unknown_country"]
        for name, given, known in (("channels", self.channels or (), CHANNELS), ("bar", self.bar, flags)):
            unknown = [each for each in given if each not in known]
            if unknown:
                raise ValueError(
                    f"The {name!r} parameter of CustomerValidator must be among {list(known)}. Got {unknown} too."
                )
        if self.channels is None:
            self.channels_ = tuple(each for each in CHANNELS if _NEEDS[each] in frame.columns)
        else:
            self.channels_ = tuple(each for each in CHANNELS if each in self.channels)
        needed = list(dict.fromkeys(_NEEDS[each] for each in self.channels_))
        hint = "Name yours with columns={...}, or leave the channel out of channels=[...]."
        check_columns(frame.columns, needed, type(self).__name__, hint)
        self._region()
        self.feature_names_in_ = np.array(raw.columns, dtype=object)
        self.n_features_in_ = len(raw.columns)
        return self

    def transform(self, customers: Any) -> Any:
        """Validate a table, and renew `quarantine_` and `report_`.

        Parameters
        ----------
        customers : frame
            A table with the columns seen in `fit`.

        Returns
        -------
        frame
            The clean rows, of the kind that came in, with the columns of the notes added.

        Raises
        ------
        InvalidDataError
            If `on_error` is "raise" and a row is to be set aside.
        """
        check_is_fitted(self, "channels_")
        raw = _frames.read(customers, owner=type(self).__name__)
        check_columns(raw.columns, list(self.feature_names_in_), type(self).__name__, "They were there in fit.")
        frame = self._read(customers)
        faults = id_faults(frame[CUSTOMER_ID], self.placeholder_ids or (), self.duplicates)
        wrong = faults != 0
        added: dict[str, Any] = {}
        if EMAIL in (_NEEDS[each] for each in self.channels_):
            email = read_emails(frame, self.disposable_domains)
            faults |= email.faults | bit_where(shared(email.codes, ~wrong), "shared_email")
            added["email_normalized"] = email.values
        if PHONE in (_NEEDS[each] for each in self.channels_):
            phone = read_phones(frame, self._region())
            faults |= phone.faults | bit_where(shared(phone.codes, ~wrong), "shared_phone")
            added.update(phone_e164=phone.values, phone_type=phone.kinds)
        if "post" in self.channels_:
            faults |= read_addresses(frame)
        barred = sum(BITS[name] for name in self.bar)
        reachable = {
            each: (faults & np.uint32(mask(UNREACHABLE, each) | (barred & mask(FLAG, each)))) == 0
            for each in self.channels_
        }
        faults = np.where(wrong, faults & WRONG, faults)
        self.report_ = count(faults, wrong, reachable)
        self.quarantine_ = set_aside(raw, np.flatnonzero(wrong), texts(faults[wrong]))
        if wrong.any() and self.on_error == "raise":
            raise InvalidDataError(complaint(faults, wrong))
        if 0 < wrong.sum() == wrong.size:
            warn(
                f"All {wrong.size:,} rows are quarantined, and the clean table is empty; see quarantine_ and report_ "
                "of the CustomerValidator.",
                DataQualityWarning,
            )
        added.update({f"reachable_{each}": rows for each, rows in reachable.items()})
        series = {name: _column(frame, name, values) for name, values in added.items()}
        series["contact_issues"] = _column(frame, "contact_issues", np.array(texts(faults), object))
        clean = _frames.extend(frame, series)
        return self._give(with_whole_ids(clean[np.flatnonzero(~wrong)] if wrong.any() else clean))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The columns of the clean table.

        Parameters
        ----------
        input_features : None
            Ignored: the names are those seen in `fit`.

        Returns
        -------
        ndarray of str
            Standard names where there are such, then the added ones.
        """
        check_is_fitted(self, "channels_")
        names = renaming(self.columns, CUSTOMER_COLUMNS, type(self).__name__)
        taken = {name for yours, name in names.items() if yours != name and name not in names}
        found = [names.get(name, name) for name in self.feature_names_in_ if name not in taken]
        added = ["email_normalized"] if "email" in self.channels_ else []
        added += ["phone_e164", "phone_type"] if {"phone", "sms"} & set(self.channels_) else []
        added += [*(f"reachable_{each}" for each in self.channels_), "contact_issues"]
        return np.array([*found, *(name for name in added if name not in found)], dtype=object)

    def _read(self, customers: Any) -> nw.DataFrame[Any]:
        return read_named(customers, self.columns, CUSTOMER_COLUMNS, (CUSTOMER_ID,), type(self).__name__)

    def _region(self) -> str | None:
        """The default country, if phone numbers are to be read."""
        if self.country is None or not {"phone", "sms"} & set(self.channels_):
            return None
        region = self.country.strip().upper()
        if region not in PhoneReader().regions:
            raise ValueError(
                "The 'country' parameter of CustomerValidator must be an ISO 3166 code of two letters, such as 'US' or "
                f"'DE'. Got {self.country!r} instead."
            )
        return region


def _column(frame: nw.DataFrame[Any], name: str, values: np.ndarray) -> nw.Series[Any]:
    dtype = nw.String if values.dtype == object else None
    return nw.new_series(name, values.tolist() if dtype else values, dtype=dtype, backend=frame.implementation)
