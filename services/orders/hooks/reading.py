"""What the payloads of shops have in common: money as texts, times, codes of goods, addresses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from services.orders.domain.review import Consignee
from services.orders.domain.state import Line, Order

_EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "XAF"), 0),
    **dict.fromkeys(("XOF", "XPF", "VUV"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Minor units where there are not a hundred of them."""
_SKU = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_ID = 100
YEARS = range(1971, 9998)


@dataclass(frozen=True, slots=True)
class Shop:
    """Whose message it is: `currency` where it names none, `skus` from the shop's codes to ours."""

    kind: str
    currency: str
    skus: Mapping[str, str]
    now: datetime

    def order_id(self, number: object) -> str:
        """The order's id here (D53). Raises ValueError for one that cannot be an id."""
        return self.named(number)

    def named(self, number: object) -> str:
        """Any of the shop's ids, as ours. Raises ValueError."""
        written = str(number)
        if not re.fullmatch(rf"[A-Za-z0-9._:-]{{1,{_LONGEST_ID}}}", written):
            raise ValueError("an id that cannot be kept")
        return f"{self.kind}:{written}"

    def sku(self, code: str, *ids: int | None) -> str:
        """The code of goods: what the map says of the shop's code or one of its ids, else the code, else the first id.

        Blanks in a code become `_` (D9). What the catalogue does not have is held for review (D13).
        """
        numbers = [str(number) for number in ids if number]
        mapped = next((self.skus[name] for name in (code.strip(), *numbers) if name in self.skus), None)
        if mapped is not None:
            return mapped
        tidied = "_".join(code.split())
        return tidied if _SKU.fullmatch(tidied) else f"{self.kind}-{next(iter(numbers), 'unknown')}"


class Payload(BaseModel):
    """What a shop sends, as far as it matters here; shops add fields whenever they like."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _utc(value: object) -> object:
    """Times without an offset are UTC where the field says so (`..._gmt`)."""
    if isinstance(value, str) and value and not re.search(r"(Z|[+-]\d\d:?\d\d)$", value):
        return value + "Z"
    return value or None


Amount = Annotated[Decimal, Field(ge=-(10**12), le=10**12)]


def _in_range(at: datetime) -> datetime:
    """Within what can be told in events."""
    if at.year not in YEARS:
        raise ValueError("year out of range")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Gmt = Annotated[AwareDatetime, BeforeValidator(_utc), AfterValidator(_in_range)]
Code = Annotated[str, BeforeValidator(lambda value: value if isinstance(value, str) else "")]
"""A text that shops also send as null."""


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount in whole units, in minor ones; what is smaller than those is rounded half up."""
    scaled = amount * (Decimal(10) ** _EXPONENTS.get(currency, 2))
    return int(scaled.quantize(Decimal(1), ROUND_HALF_UP))


def balanced(order: Order, total_cents: int) -> Order:
    """The order with the total that the shop says: what lines and discount leave open is shipping, fees and taxes."""
    rest = total_cents - (order.items_cents - order.discount_cents)
    if rest >= 0:
        return replace(order, shipping_cents=rest)
    return replace(order, shipping_cents=0, discount_cents=order.discount_cents - rest)


def priced_line(sku: str, quantity: int, whole_cents: int, paid_cents: int) -> Line:
    """A line that costs `paid_cents` of `whole_cents` before discounts: the unit price is rounded up, and the discount
    makes up for it, so that the line adds up to the cent.
    """
    whole_cents = max(whole_cents, paid_cents, 0)
    unit = -(-whole_cents // quantity)
    return Line(sku, quantity, unit, unit * quantity - max(paid_cents, 0))


def consignee(name: str, phone: str, province: str, city: str, address: Sequence[str]) -> Consignee:
    """Who receives the parcel, within what is kept."""
    street = " ".join(part.strip() for part in address if part and part.strip())
    short = (_one_line(part)[:200] for part in (name, province, city))
    kept_name, kept_province, kept_city = short
    return Consignee(kept_name, _one_line(phone)[:40], kept_province, kept_city, street.replace("\0", "")[:500])


def _one_line(written: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", written or "").strip()


def label(written: str | None, otherwise: str) -> str:
    """A short text for a label."""
    return _one_line(written or "")[:128] or otherwise


def at_least(at: datetime | None, least: datetime) -> datetime:
    """A time that does not lie before another."""
    return max(at or least, least).astimezone(UTC)
