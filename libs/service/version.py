"""The version of this program."""

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("opswire")
    except PackageNotFoundError:
        return "0.0.0"


VERSION = _installed()
