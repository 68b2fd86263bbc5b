"""Where messages may go: every address is checked before it is connected to (promises, Security)."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from libs.service.errors import Validation, fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """The target may not be connected to."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts and networks that an operator named in `OPSWIRE_WEBHOOK_ALLOW`."""

    hosts: frozenset[str]
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def parse(cls, setting: str) -> "AllowList":
        """From hosts and networks by comma."""
        hosts, networks = set(), []
        for entry in filter(None, (part.strip().lower() for part in setting.split(","))):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                hosts.add(entry)
        return cls(frozenset(hosts), tuple(networks))

    def names(self, host: str) -> bool:
        """Whether the host itself, or its literal address, was named."""
        if host in self.hosts:
            return True
        try:
            return self.covers(ipaddress.ip_address(host))
        except ValueError:
            return False

    def covers(self, address: Address) -> bool:
        """Whether the address lies in a named network."""
        return any(address in network for network in self.networks)


def check_url(url: str, own_hosts: frozenset[str], schemes: Sequence[str], allowed: AllowList) -> None:
    """Refuse a target that is neither its kind's own host nor named by the operator. Raises Validation.

    `own_hosts`: `*.example.com` stands for any host below; `schemes`: the first is always right.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        _refuse("not an address")
    named = allowed.names(host)
    if not host or parts.username or parts.password or parts.scheme not in schemes:
        _refuse(f"not an address of {' or '.join(schemes)}")
    if parts.scheme == "http" and not named:
        _refuse("only https, except for hosts that OPSWIRE_WEBHOOK_ALLOW names")
    if not (named or any(_is_at(host, own) for own in own_hosts)):
        _refuse(f"{host} is not a host of this kind; have the operator name it in OPSWIRE_WEBHOOK_ALLOW")


def _is_at(host: str, own: str) -> bool:
    return host.endswith(own[1:]) if own.startswith("*.") else host == own


def _refuse(message: str) -> NoReturn:
    raise Validation(f"url: {message}", errors=[fault("/url", "url", message)])


async def resolve(url: str, allowed: AllowList) -> str:
    """The checked address to connect to. Raises Refused where any address of the host is not public; OSError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    for address in addresses:
        if not (address.is_global or allowed.covers(address) or host.lower() in allowed.hosts):
            raise Refused(f"{host} resolves to {address}, which is not public")
    return str(addresses[0])
