"""Replace the values of columns by keyed pseudonyms."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from hashlib import sha256
from numbers import Integral, Real
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._params import InstanceOf, OneOf, check_columns, check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._customer_ids import distinct_ids

OWNER = "pseudonymize"
SHORTEST_KEY = 16  # bytes
_SHORTEST = {"hex": 16, "base32": 13}  # characters that hold 64 bits
_LONGEST = {"hex": 64, "base32": 51}  # characters that a digest of 256 bits fills


def pseudonymize(
    frame: Any, columns: str | Sequence[str], key: bytes | str, *, length: int = 32, encoding: str = "hex"
) -> Any:
    """Replace every value of some columns by a pseudonym that only the holder of a key can make.

    The same value under the same key has the same pseudonym in every frame, every column and every frame library, so
    that tables that were pseudonymized apart still join. Without the key there is no way from a pseudonym to its
    value, not even by trying all values, as there is with a plain hash. A new key breaks the link to everything made
    with the old one.

    Pseudonymous data is still personal data wherever the key exists. Other columns may identify people too: names, a
    postcode together with a birth date, a rare purchase. This function changes the columns it is told.

    Parameters
    ----------
    frame : frame
        pandas, Polars or PyArrow, or a mapping of columns. It is not changed.
    columns : str or sequence of str
        The columns to replace.
    key : bytes or str
        The secret: at least 16 bytes, better 32 random ones, as ``secrets.token_bytes(32)`` makes them. A text counts
        as its UTF-8. It is neither kept nor shown in any message.
    length : int, default=32
        Characters of a pseudonym: 16 to 64 in "hex", 13 to 51 in "base32".
    encoding : {"hex", "base32"}, default="hex"
        Four or five bits a character: 0-9 and a-f, or a-z and 2-7.

    Returns
    -------
    frame
        Of the kind that came in; the columns hold texts, missing where the value was missing.

    Raises
    ------
    MissingColumnError
        If a column is missing.
    ValueError
        If the key is too short, or `length` does not fit `encoding`.
    InvalidDataError
        If a value is of a type without one agreed form, such as a list.

    See Also
    --------
    CustomerValidator : Checks the customers' ids before.
    apply_merge_map : Gives duplicates of one person one id: do it first, since pseudonyms cannot be compared.

    Notes
    -----
    A pseudonym is the beginning of HMAC-SHA256 [1]_ of the value's kind and form:

    ==========================  =======================================================================
    value                       message
    ==========================  =======================================================================
    text                        ``s`` and the UTF-8 of the text, exactly as it is
    whole number of any type    ``i`` and the decimal digits, with a minus sign where it is negative
    other number                ``f`` and its shortest decimal form, normalized
    truth value                 ``b0`` or ``b1``
    date, time without zone     ``t`` and the ISO form; a date is its midnight
    time with a zone            ``z`` and the ISO form in UTC
    bytes                       ``y`` and the bytes
    tuple                       ``(`` and each element's message, after its length and ``:``
    ==========================  =======================================================================

    So 1 and "1" differ, as everywhere in this package, and int64, Int64, a float column that a missing value made of
    integers, and Polars integers agree. Upper and lower case and white space count: normalize e-mail addresses first
    (`CustomerValidator` does).

    :math:`n` distinct values share a pseudonym of :math:`b` bits somewhere with a probability of at most
    :math:`n (n - 1) / 2^{b + 1}`: for a thousand million values and the default 128 bits, :math:`1.5 \\cdot 10^{-21}`.
    A frame in which it happens is refused.

    References
    ----------
    .. [1] H. Krawczyk, M. Bellare, R. Canetti (1997). HMAC: Keyed-Hashing for Message Authentication. RFC 2104,
       sections 2 and 5. https://doi.org/10.17487/RFC2104

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import pseudonymize
    >>> key = b"thirty-two bytes of real secret!"
    >>> log = pd.DataFrame({"customer_id": [17, 42, 17], "amount": [9.5, 3.0, 4.0]})
    >>> table = pd.DataFrame({"customer_id": [42, 17], "segment": ["new", "loyal"]})
    >>> log = pseudonymize(log, "customer_id", key, length=16)
    >>> log
            customer_id  amount
    0  d37b5e36ac353055     9.5
    1  6aef24f81f9ff47a     3.0
    2  d37b5e36ac353055     4.0
    >>> table = pseudonymize(table, "customer_id", key, length=16)
    >>> log.merge(table)["segment"].tolist()
    ['loyal', 'new', 'loyal']
    """
    check_value("encoding", encoding, (OneOf(tuple(_SHORTEST)),), OWNER)
    check_value("length", length, (integer(_SHORTEST[encoding], _LONGEST[encoding]),), OWNER)
    secret = _secret(key)
    wanted = [columns] if isinstance(columns, str) else columns
    check_value("columns", wanted, (InstanceOf((list, tuple, set, frozenset, np.ndarray)),), OWNER)
    if not len(wanted):
        raise ValueError(f"The 'columns' parameter of {OWNER} names no column: nothing would be replaced.")
    data = _frames.read(frame, owner=OWNER)
    check_columns(data.columns, list(wanted), OWNER)
    write = _hex if encoding == "hex" else _base32
    found = {name: _pseudonyms(data[name], secret, write, int(length)) for name in wanted}
    return _frames.extend(data, found).to_native()


def _secret(key: Any) -> bytes:
    """The key as bytes; no message tells anything of it but its length."""
    if not isinstance(key, str | bytes | bytearray):
        raise ValueError(
            f"The 'key' parameter of {OWNER} must be an instance of bytes or str. Got a {type(key).__name__} instead."
        )
    secret = key.encode() if isinstance(key, str) else bytes(key)
    if len(secret) < SHORTEST_KEY:
        raise ValueError(
            f"The 'key' parameter of {OWNER} must have at least {SHORTEST_KEY} bytes, or it can be guessed; it has "
            f"{len(secret)}. Make one with secrets.token_bytes(32), and keep it apart from the data."
        )
    return secret


def _pseudonyms(series: nw.Series[Any], secret: bytes, write: Callable[[bytes], str], length: int) -> nw.Series[Any]:
    codes, values = distinct_ids(series)
    messages = [_message(value, series.name) for value in values]
    names = [write(digest)[:length] for digest in _digests(messages, secret)]
    if len(set(names)) < len(set(messages)):
        raise InvalidDataError(
            f"Two values of the column {series.name!r} have the same pseudonym of {length} characters. Pass a larger "
            "length=..."
        )
    texts = np.array([*names, None], object)[codes]
    return nw.new_series(series.name, texts.tolist(), dtype=nw.String, backend=series.implementation)


def _digests(messages: Iterable[bytes], secret: bytes) -> Iterator[bytes]:
    """HMAC-SHA256 of each message, with the two states that depend on the key alone made once."""
    padded = (secret if len(secret) <= 64 else sha256(secret).digest()).ljust(64, b"\0")
    inner, outer = (sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    for message in messages:
        first, second = inner.copy(), outer.copy()
        first.update(message)
        second.update(first.digest())
        yield second.digest()


def _message(value: Any, column: str) -> bytes:
    """Kind and form of one value: equal for equal values of any library, different for different ones."""
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if type(value) is int:  # the common cases first: asking whether something is Integral takes longer than the HMAC
        return b"i%d" % value
    if isinstance(value, bool | np.bool_):
        return b"b1" if value else b"b0"
    if isinstance(value, Integral):
        return b"i%d" % int(value)
    if isinstance(value, Real | Decimal):
        number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
        whole = number.is_finite() and number == number.to_integral_value()
        exact = Context(prec=max(len(number.as_tuple().digits), 1))  # not the caller's, which may round
        return b"i%d" % int(number) if whole else b"f" + str(number.normalize(exact)).encode()
    if isinstance(value, date):
        return _moment(value)
    if isinstance(value, bytes):
        return b"y" + value
    if isinstance(value, tuple):
        parts = (_message(part, column) for part in value)
        return b"(" + b"".join(b"%d:%b" % (len(part), part) for part in parts)
    raise InvalidDataError(
        f"The column {column!r} holds a value of the type {type(value).__name__}, which has no agreed form to make a "
        "pseudonym of. Turn it into text first, for example with astype(str)."
    )


def _moment(value: date) -> bytes:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    if moment.tzinfo is None:
        return b"t" + moment.isoformat().encode()
    return b"z" + moment.astimezone(UTC).replace(tzinfo=None).isoformat().encode()


def _hex(digest: bytes) -> str:
    return digest.hex()


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().lower()
