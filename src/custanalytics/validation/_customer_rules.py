"""The rules of a customers' table, as data: one row each, in the order of their bits."""

from __future__ import annotations

from dataclasses import dataclass

QUARANTINE, UNREACHABLE, FLAG = "quarantine", "unreachable", "flag"


@dataclass(frozen=True)
class CustomerRule:
    """One thing that can be wrong with a row of a customers' table.

    Attributes
    ----------
    name : str
        What the report, the `reasons` of a quarantined row and the `contact_issues` of a clean one call it.
    severity : {"quarantine", "unreachable", "flag"}
        Whether a row that breaks the rule is set aside; or kept, but not reachable by `channels`; or only flagged.
    channels : tuple of str
        The channels that the rule is about.
    description : str
        When a row breaks the rule.
    remedy : str
        What to do about it.
    bit : int
        The rule's bit in the mask of a row.

    See Also
    --------
    CustomerValidator : Applies the rules.

    Examples
    --------
    >>> from custanalytics.validation import CustomerValidator
    >>> rules = {rule.name: rule for rule in CustomerValidator.rules()}
    >>> rules["not_a_mobile_phone"].severity, rules["not_a_mobile_phone"].channels
    ('unreachable', ('sms',))
    """

    name: str
    severity: str
    channels: tuple[str, ...]
    description: str
    remedy: str
    bit: int


_CALLED = ("phone", "sms")
_TABLE: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    (
        "missing_customer_id",
        QUARANTINE,
        (),
        "the customer id is null, empty, white space, or the text of a missing value",
        "Find the id in the source; without one nothing can be joined.",
    ),
    (
        "placeholder_customer",
        QUARANTINE,
        (),
        "the customer id is one of `placeholder_ids`: it stands for anybody",
        "Change placeholder_ids=(...) if such an id is a real customer.",
    ),
    (
        "duplicate_customer_id",
        QUARANTINE,
        (),
        "another row has the same customer id",
        "Decide in the source which row is right; duplicates='first', 'last' or 'none' says which one stays here.",
    ),
    ("missing_email", UNREACHABLE, ("email",), "there is no e-mail address", "Ask for it at the next purchase."),
    (
        "placeholder_email",
        UNREACHABLE,
        ("email",),
        "the e-mail address stands for none: 'n/a', test@test.com, noemail@...",
        "Let the form accept an empty address, so that nobody has to make one up.",
    ),
    (
        "invalid_email",
        UNREACHABLE,
        ("email",),
        "no mail can be sent there: email-validator finds a fault in the address, or its domain is reserved by name",
        "Look for typing errors (a missing @, a comma for a point); ask again.",
    ),
    (
        "reserved_email_domain",
        FLAG,
        ("email",),
        "the domain is one of those kept for examples (example.com, RFC 2606): nobody reads mail there",
        "Pass bar=('reserved_email_domain',) to count it as not reachable, unless these are made-up data.",
    ),
    (
        "disposable_email",
        FLAG,
        ("email",),
        "the domain gives addresses away for minutes",
        "Pass bar=('disposable_email',) to count it as not reachable.",
    ),
    (
        "role_email",
        FLAG,
        ("email",),
        "the address is an office, not a person: info@, sales@, postmaster@, ...",
        "Pass bar=('role_email',) to count it as not reachable.",
    ),
    (
        "shared_email",
        FLAG,
        ("email",),
        "another customer of the clean table has the same address",
        "See IdentityResolver: they may be one person. Send one mail, not two.",
    ),
    ("missing_phone", UNREACHABLE, _CALLED, "there is no phone number", "Ask for it at the next purchase."),
    (
        "placeholder_phone",
        UNREACHABLE,
        _CALLED,
        "the number stands for none: 'n/a', 0000000, 123456789",
        "Let the form accept an empty number, so that nobody has to make one up.",
    ),
    (
        "phone_without_country",
        UNREACHABLE,
        _CALLED,
        "the number has no international prefix, and neither a column nor `country` says where it is dialled",
        "Pass country='US' (or yours), or give the table a column country.",
    ),
    (
        "unreadable_phone",
        UNREACHABLE,
        _CALLED,
        "phonenumbers cannot read a phone number in it",
        "Look for two numbers in one field, or for words.",
    ),
    (
        "impossible_phone",
        UNREACHABLE,
        _CALLED,
        "the number is too short or too long for its country",
        "Look for a missing area code, or a wrong country.",
    ),
    (
        "invalid_phone",
        UNREACHABLE,
        _CALLED,
        "the number has a possible length, but its country assigns no such number",
        "Look for swapped digits, or a wrong country.",
    ),
    (
        "not_a_mobile_phone",
        UNREACHABLE,
        ("sms",),
        "the number is valid, but not that of a mobile phone (or has an extension)",
        "Ask for a mobile number.",
    ),
    (
        "shared_phone",
        FLAG,
        _CALLED,
        "another customer of the clean table has the same number",
        "See IdentityResolver: they may be one person, or one household.",
    ),
    (
        "unknown_country",
        FLAG,
        _CALLED,
        "the country is no ISO 3166 code of two letters, so that `country` was taken",
        "Write 'DE' for Germany.",
    ),
    (
        "incomplete_address",
        UNREACHABLE,
        ("post",),
        "one of address, postcode and city (those that the table has) is empty or 'n/a'",
        "Ask for it, or look it up.",
    ),
)
RULES = tuple(CustomerRule(*row, 1 << at) for at, row in enumerate(_TABLE))
BITS = {rule.name: rule.bit for rule in RULES}
CHANNELS = ("email", "phone", "sms", "post")


def mask(severity: str, channel: str | None = None) -> int:
    """The bits of the rules of a severity, or of those about a channel."""
    return sum(rule.bit for rule in RULES if rule.severity == severity and (not channel or channel in rule.channels))


def names(bits: int) -> tuple[str, ...]:
    """The names of the rules whose bits are set."""
    return tuple(rule.name for rule in RULES if bits & rule.bit)
