"""Which of the two languages a caller reads."""


def language_of(header: str | None) -> str:
    """`zh` when Accept-Language prefers Chinese to English, else `en`."""
    best, chosen = 0.0, "en"
    for part in (header or "").split(",")[:20]:
        tag, _, parameters = part.strip().partition(";")
        weight = _weight(parameters)
        language = tag.strip().lower().partition("-")[0]
        if language in ("zh", "en") and weight > best:
            best, chosen = weight, language
    return chosen


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
