"""Times as they are shown: whole seconds, half up. Pure."""

from datetime import timedelta

_HALF = timedelta(milliseconds=500)
_SECOND = timedelta(seconds=1)


def whole_seconds(span: timedelta) -> int:
    """Seconds, rounded half up."""
    return (span + _HALF) // _SECOND
