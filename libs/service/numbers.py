"""Numbers as answers carry them."""


def half_up(numerator: int, denominator: int, decimals: int = 6) -> float | None:
    """The fraction rounded half away from zero from its exact value (D34); None where the denominator is empty."""
    if denominator == 0:
        return None
    negative = (numerator < 0) != (denominator < 0)
    scale: int = 10**decimals
    scaled = (2 * abs(numerator) * scale + abs(denominator)) // (2 * abs(denominator))
    return (-scaled if negative else scaled) / scale
