"""Read e-mail addresses: the normal form of those that mail can be sent to, and what is wrong with the others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from custanalytics._params import require_extra
from custanalytics.validation._customer_rules import BITS
from custanalytics.validation._values import MISSING_TEXT, plain


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING = frozenset({"n/a", "#n/a", "na", "-", "--", "?", "x", "xx", "xxx", "unknown", "not available", "not given"})
_NOBODY = _words("noemail no-email no_email nomail no-mail no_mail noaddress no-address unknown none anonymous")
_MADE_UP = _words(
    "test tests testing tester none no na nope null noemail no-email nomail asdf asdfg qwerty abc xyz xxx xx x a aa "
    "aaa fake dummy example email mail user name nobody me you domain invalid"
)
_MADE_UP_DOMAINS = _words("test tests testing none noemail no-email nomail asdf asdfg fake dummy nowhere null na")
_DENIALS, _MAIL = _words("no none na nope null"), _words("email mail domain")
_ROLES = _words(
    "abuse accounting accounts admin administrator billing careers compliance contact customerservice enquiries "
    "finance hello help helpdesk hostmaster hr info inquiries it jobs legal mailer-daemon marketing media "
    "newsletter no-reply noc noreply office orders postmaster press privacy reception root sales security service "
    "spam support sysadmin team webmaster www"
)
_RESERVED = ("example.com", "example.net", "example.org", "example.edu", "example")
_DISPOSABLE = _words(
    "0-mail.com 10minutemail.com 10minutemail.net 20minutemail.com 33mail.com anonbox.net discard.email "
    "discardmail.com dispostable.com emailondeck.com fakeinbox.com fakemail.net getairmail.com getnada.com grr.la "
    "guerrillamail.biz guerrillamail.com guerrillamail.de guerrillamail.info guerrillamail.net guerrillamail.org "
    "guerrillamailblock.com inboxkitten.com incognitomail.org jetable.org mailcatch.com maildrop.cc "
    "mailexpire.com mailinator.com mailinator.net mailnesia.com mailsac.com mintemail.com moakt.com mohmal.com "
    "mytemp.email nada.email pokemail.net sharklasers.com spam4.me spambox.us spamgourmet.com spamex.com "
    "temp-mail.io temp-mail.org tempail.com tempinbox.com tempmail.com tempmail.net tempr.email throwawaymail.com "
    "trash-mail.com trashmail.com trashmail.de trashmail.net wegwerfmail.de yopmail.com yopmail.fr yopmail.net"
)
# Providers that deliver mail for name+anything@ to name@.
_PLUS = _words(
    "gmail.com outlook.com hotmail.com live.com msn.com icloud.com me.com mac.com fastmail.com proton.me "
    "protonmail.com pm.me"
)
_SIMPLE = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_LONGEST_LOCAL, _LONGEST = 64, 254


class EmailReader:
    """Reads one distinct value at a time; the domain of many addresses is checked once."""

    def __init__(self, disposable: Iterable[str] = ()) -> None:
        self._library = require_extra("email_validator", "contact", "Checking e-mail addresses")
        self._disposable = _DISPOSABLE | {plain(domain).lstrip("@") for domain in disposable}
        self._domain = lru_cache(maxsize=None)(self._read_domain)
        # Names of offices are spelt one way by the library; it alone knows which.
        self._special = frozenset(self._library.rfc_constants.CASE_INSENSITIVE_MAILBOX_NAMES)

    def read(self, value: Any) -> tuple[str | None, int]:
        """The normal form, or None where no mail can be sent; and the bits of the rules broken."""
        text = plain(value) if isinstance(value, str) else plain(str(value))
        if text in MISSING_TEXT:
            return None, BITS["missing_email"]
        if text in NOTHING or _made_up(text):
            return None, BITS["placeholder_email"]
        normal = self._normal(trimmed(str(value)))
        if normal is None:
            return None, BITS["invalid_email"]
        local, _, domain = normal.rpartition("@")
        bits = 0
        if domain in _RESERVED or domain.endswith(tuple("." + name for name in _RESERVED)):
            bits |= BITS["reserved_email_domain"]
        if domain in self._disposable or domain.partition(".")[2] in self._disposable:
            bits |= BITS["disposable_email"]
        if local.lower().partition("+")[0] in _ROLES:
            bits |= BITS["role_email"]
        return normal, bits

    def _normal(self, text: str) -> str | None:
        local, _, domain = text.partition("@")
        if _SIMPLE.fullmatch(local) and len(local) <= _LONGEST_LOCAL and local.lower() not in self._special:
            # What the library would say of such an address depends on its domain and its length alone.
            found = self._domain(domain)
            if found is not None and len(local) + 1 + max(len(found), len(domain)) <= _LONGEST and found.isascii():
                return f"{local}@{found}"
        return self._ask(text)

    def _read_domain(self, domain: str) -> str | None:
        normal = self._ask("x@" + domain)
        return None if normal is None else normal[2:]

    def _ask(self, text: str) -> str | None:
        try:
            return str(self._library.validate_email(text, check_deliverability=False).normalized)
        except self._library.EmailNotValidError:
            return None


def trimmed(text: str) -> str:
    """A text without surrounding white space, visible or not; its case stays."""
    return text.strip().strip("\x00\u200b\u200c\u200d\u200e\u200f\u2060\ufeff").strip()


def person_of(address: str) -> str:
    """What is common to the addresses of one mailbox, as large providers have it.

    Upper case and what follows a plus sign count nowhere; points do not count at Google.
    """
    local, _, domain = address.lower().rpartition("@")
    domain = "gmail.com" if domain == "googlemail.com" else domain
    if domain in _PLUS:
        local = local.partition("+")[0] or local
    if domain == "gmail.com":
        local = local.replace(".", "")
    return f"{local}@{domain}"


def _made_up(text: str) -> bool:
    local, at, domain = text.partition("@")
    label = domain.partition(".")[0]
    return bool(at) and (
        local in _NOBODY
        or (local in _MADE_UP and (local == label or label in _MADE_UP_DOMAINS))
        or (local in _DENIALS and label in _MAIL)
    )
