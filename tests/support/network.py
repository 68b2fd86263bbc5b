"""Tests talk to this machine only: a connection to anywhere else is refused and named."""

import ipaddress
import sys

_state = {"guarded": False}


class OutsideConnection(Exception):
    """A test tried to connect to another machine."""


def allow_loopback_only() -> None:
    """Refuse every connection of this process beyond loopback, for good (audit hooks cannot be removed)."""
    if not _state["guarded"]:
        _state["guarded"] = True
        sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not is_local(arguments[1]):
        raise OutsideConnection(f"a test tried to connect to {arguments[1]!r}")


def is_local(target: object) -> bool:
    """Whether a socket address is on this machine; a path of a Unix socket is."""
    if not isinstance(target, tuple) or not isinstance(target[0], str):
        return True
    host = target[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
