"""Personal data and secrets: pseudonyms (D7), masks for answers and audit rows, redaction for logs (P12)."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_PHONE = re.compile(r"(?<![A-Za-z0-9+])(?<!\d[.-])(?:\+?86[ -]?)?1[3-9]\d(?:[ -]?\d{4}){2}(?![A-Za-z0-9]|-\d)")
"""Chinese writing has no blanks: a number may touch the characters around it."""
_INTERNATIONAL = re.compile(r"(?<![A-Za-z0-9+])\+\d{1,3}[ -]?(?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}(?![A-Za-z0-9])")
_ID_CARD = re.compile(r"(?<!\d)\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z])")
_KEY = re.compile(r"ow_[A-Za-z0-9]{1,32}_[0-9a-fA-F]{8,}")
_URL_SECRET = re.compile(
    r"(https?://[^\s\"'<>/?#]+)(/(?:robot/send|open-apis/bot|cgi-bin/webhook|services/|webhook|workflows/)[^\s\"'<>]*)"
)
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+(@)")
_SIGNING = re.compile(r"\b(?:SEC[0-9a-zA-Z]{16,}|whsec_[A-Za-z0-9+/=]{8,})")
_LOOKS_LIKE_PHONE = re.compile(r"\+?[\d ()-]{7,20}")
_SECRET_FIELDS = frozenset(
    {"authorization", "key", "secret", "secrets", "password", "token", "access_token", "database_url", "signature"}
    | {"cookie", "set_cookie", "x_api_key"}
)
_PERSONAL_FIELDS = frozenset({"consignee", "phone", "mobile", "mail", "email", "address", "id_card"})
HIDDEN = "***"


class Pseudonyms:
    """Replaces what looks like a phone number or a mail address by a keyed hash, one key an installation (D7)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def replace(self, customer_id: str) -> str:
        """The id itself, or `h_` and a hash that is the same for every way of writing one number or address."""
        plain = customer_id.strip()
        if _MAIL.fullmatch(plain):
            return self._hash(plain.lower())
        digits = re.sub(r"\D", "", plain)
        if _LOOKS_LIKE_PHONE.fullmatch(plain) and _is_phone(plain, digits):
            return self._hash(digits[2:] if len(digits) == 13 and digits.startswith("86") else digits)
        return customer_id

    def _hash(self, normal: str) -> str:
        return "h_" + hmac.new(self._key, normal.encode(), hashlib.sha256).hexdigest()[:32]


def _is_phone(plain: str, digits: str) -> bool:
    """A Chinese mobile number, or an international one with its plus; shorter numbers are customer numbers."""
    mobile = re.fullmatch(r"(?:86)?1[3-9]\d{9}", digits) is not None
    return mobile or (plain.startswith("+") and 7 <= len(digits) <= 15)


def mask_phone(phone: str) -> str:
    """`138****5678`."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else HIDDEN


def mask_name(name: str) -> str:
    """`张*`."""
    return name[:1] + "*" if name else name


def mask_mail(mail: str) -> str:
    """`l***@example.com`."""
    user, _, host = mail.partition("@")
    return f"{user[:1]}***@{host}" if host else HIDDEN


def mask_text(text: str) -> str:
    """Free text with phone numbers, mail addresses and ID-card numbers masked (D8)."""
    masked = _MAIL.sub(lambda found: mask_mail(found[0]), text)
    masked = _ID_CARD.sub(lambda found: f"{found[0][:3]}***{found[0][-2:]}", masked)
    masked = _PHONE.sub(lambda found: mask_phone(re.sub(r"\D", "", found[0])[-11:]), masked)
    return _INTERNATIONAL.sub(HIDDEN, masked)


def redact(value: Any) -> Any:
    """A copy without secrets and personal data: fields by their names, texts by their patterns."""
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, Mapping):
        return {name: _redact_field(name, part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(part) for part in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value


def _redact_field(name: Any, value: Any) -> Any:
    lower = str(name).lower().replace("-", "_")
    if value is not None and (lower in _SECRET_FIELDS or lower in _PERSONAL_FIELDS):
        return HIDDEN
    return redact(value)


_INPUT_VALUE = re.compile(r"input_value=.*?(?=, input_type=)", re.DOTALL)
_ROW_DETAIL = re.compile(r"DETAIL: .*")


def without_values(traceback: str) -> str:
    """An error's text without the values that pydantic and PostgreSQL put into theirs."""
    return _ROW_DETAIL.sub(f"DETAIL: {HIDDEN}", _INPUT_VALUE.sub(f"input_value={HIDDEN}", traceback))


def _redact_text(text: str) -> str:
    text = _KEY.sub("ow_***", text)
    text = _URL_PASSWORD.sub(rf"\1{HIDDEN}\2", text)
    text = _URL_SECRET.sub(rf"\1/{HIDDEN}", text)
    return mask_text(_SIGNING.sub(HIDDEN, text))
