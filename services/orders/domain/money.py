"""Sums of an order, exactly (D11): integer minor units, no rounding that loses a cent."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from libs.events.contracts.base import MAX_CENTS
from libs.service.errors import Validation, fault

MAX_UNITS: Final = 10**9


class Priced(Protocol):
    """Anything with a quantity at a price."""

    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...
    @property
    def unit_price_cents(self) -> int: ...
    @property
    def discount_cents(self) -> int: ...


def items_cents(lines: Iterable[Priced]) -> int:
    """Sum of quantity x unit price - line discount."""
    return sum(line.quantity * line.unit_price_cents - line.discount_cents for line in lines)


def total_cents(items: int, discount: int, shipping: int) -> int:
    """What the customer owes."""
    return items - discount + shipping


def spread(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Share `amount` out in proportion to `weights` by largest remainder, ties to the earlier one.

    The shares add up to `amount` exactly. Without any weight the first takes it all.
    """
    whole = sum(weights)
    if not weights:
        return ()
    if whole == 0:
        return (amount, *(0 for _ in weights[1:]))
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % whole))
    for index in by_remainder[: amount - sum(shares)]:
        shares[index] += 1
    return tuple(shares)


def check_amounts(
    lines: Sequence[Priced], *, discount: int, shipping: int, items: int | None = None, total: int | None = None
) -> None:
    """Refuse what is negative, or does not agree with the sums that the caller sent along (D11).

    Raises Validation that names every field which is wrong.
    """
    errors = [
        fault(f"/lines/{n}/discount_cents", "amount", "a line's discount is more than the line")
        for n, line in enumerate(lines)
        if line.quantity * line.unit_price_cents < line.discount_cents
    ]
    errors += [
        fault(f"/lines/{n}", "amount", "more than can be counted exactly")
        for n, line in enumerate(lines)
        if line.quantity * line.unit_price_cents > MAX_CENTS
    ]
    errors += _too_many(lines)
    exact_items = items_cents(lines)
    exact_total = total_cents(exact_items, discount, shipping)
    if exact_total < 0:
        errors.append(fault("/discount_cents", "amount", f"the total is negative: {exact_total}"))
    if exact_total > MAX_CENTS and not errors:
        errors.append(fault("/lines", "amount", "more than can be counted exactly"))
    if items is not None and items != exact_items:
        errors.append(fault("/items_cents", "amount", f"the lines add up to {exact_items}, not {items}"))
    if total is not None and total != exact_total:
        errors.append(fault("/total_cents", "amount", f"the order adds up to {exact_total}, not {total}"))
    if errors:
        raise Validation("the amounts of the order do not add up", errors=errors)


def _too_many(lines: Sequence[Priced]) -> list[dict[str, Any]]:
    """Units of one SKU on all of its lines are told as one number later, and that has a limit."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    message = f"more than {MAX_UNITS} units of one SKU"
    return [
        fault(f"/lines/{n}/quantity", "amount", message) for n, line in enumerate(lines) if units[line.sku] > MAX_UNITS
    ]
