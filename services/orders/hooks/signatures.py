"""Whether a webhook is what its sender signed: over the raw body, in constant time, with every secret that is valid."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

Kind = Literal["shopify", "woocommerce", "signed"]
TOLERANCE = timedelta(minutes=5)
"""How far the time in a Standard Webhooks message may be from ours: an older one may be a recording (replay)."""
_PREFIX = "whsec_"


def is_genuine(kind: Kind, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the secrets signed it. Every secret is tried, whatever the first ones say."""
    check = {"shopify": _shopify, "woocommerce": _woocommerce, "signed": _signed}[kind]
    found = [check(secret, headers, body) for secret in secrets or ("",)]
    return bool(secrets) and any(found) and (kind != "signed" or _is_fresh(headers, now))


def _shopify(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    return _matches(_sign(secret.encode(), body), headers.get("x-shopify-hmac-sha256", ""))


def _woocommerce(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    return _matches(_sign(secret.encode(), body), headers.get("x-wc-webhook-signature", ""))


def _signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Standard Webhooks: id, time and body, with one signature for each secret that the sender has."""
    said = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + body
    expected = _sign(key_of(secret), said)
    given = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")]
    matches = [_matches(expected, signature) for version, _, signature in given if version == "v1"]
    return bool(headers.get("webhook-id")) and any(matches)


def _is_fresh(headers: Mapping[str, str], now: datetime) -> bool:
    given = headers.get("webhook-timestamp", "")
    if not given.isascii() or not given.isdigit() or len(given) > 11:
        return False
    return abs(datetime.fromtimestamp(int(given), UTC) - now) <= TOLERANCE


def key_of(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks, `whsec_` and base64. Raises ValueError for any other."""
    plain = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not whsec_ and base64") from error
    return key


def _sign(key: bytes, said: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, said, "sha256"))


def _matches(expected: bytes, given: str) -> bool:
    return hmac.compare_digest(expected, given.encode())
