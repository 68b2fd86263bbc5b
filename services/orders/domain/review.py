"""Review by rule (ORD-1): the obvious orders pass at once, the others wait for a person with the reasons (D14)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

_MOBILE = re.compile(r"(?:\+?86[- ]?)?1[3-9]\d{9}")
_LANDLINE = re.compile(r"(?:0\d{2,3}[- ]?)?\d{7,8}(?:-\d{1,6})?|400[- ]?\d{3}[- ]?\d{4}")
_ABROAD = re.compile(r"\+\d[\d -]{6,17}\d")


@dataclass(frozen=True, slots=True)
class Consignee:
    """Who receives the parcel, as given by the customer. Never leaves the orders service."""

    name: str = ""
    phone: str = ""
    province: str = ""
    city: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an order is unusual."""

    quantity: int = 100
    amount_cents: int = 5_000_000


class Ordered(Protocol):
    """A line, as far as the review looks at it."""

    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...


def reasons_to_hold(
    lines: Iterable[Ordered],
    total_cents: int,
    consignee: Consignee | None,
    *,
    unknown_skus: Sequence[str] = (),
    limits: Limits = Limits(),
) -> tuple[str, ...]:
    """Why a person should look at this order before it is shipped; empty when the rule approves it."""
    found = [*consignee_faults(consignee)]
    if _is_quantity_unusual(lines, limits):
        found.append("quantity_unusual")
    if unknown_skus:
        found.append("sku_unknown")
    if total_cents > limits.amount_cents:
        found.append("amount_unusual")
    return tuple(found)


def consignee_faults(consignee: Consignee | None) -> tuple[str, ...]:
    """What keeps a parcel from arriving."""
    if consignee is None or not consignee.name.strip():
        return ("consignee_missing",)
    found = []
    if not is_phone(consignee.phone):
        found.append("phone_invalid")
    if not all(part.strip() for part in (consignee.province, consignee.city, consignee.address)):
        found.append("address_incomplete")
    return tuple(found)


def is_phone(text: str) -> bool:
    """A Chinese mobile or landline number, or one with a country code."""
    number = text.strip()
    return any(pattern.fullmatch(number) for pattern in (_MOBILE, _LANDLINE, _ABROAD))


def _is_quantity_unusual(lines: Iterable[Ordered], limits: Limits) -> bool:
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return any(quantity > limits.quantity for quantity in units.values())
