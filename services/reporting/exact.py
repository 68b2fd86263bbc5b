"""Numbers as they are shown: rounded once, half up, from the exact fraction (D34)."""

from decimal import ROUND_HALF_UP, Decimal

RATIO_DECIMALS = 6


def rounded(numerator: int, denominator: int, decimals: int = RATIO_DECIMALS) -> Decimal | None:
    """numerator / denominator, half up; None where there is nothing to divide by."""
    if denominator == 0:
        return None
    scale = 10**decimals
    whole, rest = divmod(abs(numerator) * scale, abs(denominator))
    if 2 * rest >= abs(denominator):
        whole += 1
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    return Decimal(sign * whole).scaleb(-decimals)


def ratio(numerator: int, denominator: int) -> float | None:
    """A ratio as JSON carries it, with six decimals."""
    value = rounded(numerator, denominator)
    return None if value is None else float(value)


def cents(numerator: int, denominator: int) -> int | None:
    """An average amount in whole minor units."""
    value = rounded(numerator, denominator, 0)
    return None if value is None else int(value)


def percent(numerator: int, denominator: int, decimals: int = 2) -> str:
    """Such as "2.47%"; "-" where the denominator is empty."""
    value = rounded(numerator * 100, denominator, decimals)
    return "-" if value is None else f"{value}%"


def points(numerator: int, denominator: int, target: Decimal) -> Decimal | None:
    """How many percentage points a ratio is above (positive) or under its target, to two decimals.

    It is the difference of the two figures as shown, so that a reader can check it: 2.47 % is 0.53 under 3 %.
    """
    shown = rounded(numerator * 100, denominator, 2)
    if shown is None:
        return None
    return shown - (target * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def money(amount_cents: int | None, digits: int = 2) -> str:
    """Such as "156.00"; "-" for none."""
    if amount_cents is None:
        return "-"
    return f"{Decimal(amount_cents).scaleb(-digits):.{digits}f}"
