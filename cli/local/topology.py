"""The whole platform on one page: five services, one process each, their ports, how they are told of one another."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SERVICES = ("orders", "inventory", "alerts", "kpi", "reporting")
"""In the order of their ports: 8001, 8002, ..."""

HOST = "127.0.0.1"
FIRST_PORT = 8001


@dataclass(frozen=True, slots=True)
class Topology:
    """Where each service listens."""

    ports: Mapping[str, int]
    host: str = HOST

    @classmethod
    def from_port(cls, first: int = FIRST_PORT) -> Self:
        """Ports one after the other."""
        return cls({service: first + at for at, service in enumerate(SERVICES)})

    def port(self, service: str) -> int:
        return self.ports[service]

    def url(self, service: str) -> str:
        return f"http://{self.host}:{self.port(service)}"

    @property
    def urls(self) -> dict[str, str]:
        return {service: self.url(service) for service in SERVICES}

    @property
    def environment(self) -> dict[str, str]:
        """What every service is told: its own port and everybody's address."""
        ports = {f"OPSWIRE_{service.upper()}_PORT": str(self.port(service)) for service in SERVICES}
        urls = {f"OPSWIRE_{service.upper()}_URL": self.url(service) for service in SERVICES}
        return {"OPSWIRE_HOST": self.host, **ports, **urls}


def service_command(service: str) -> list[str]:
    """The command line of one service."""
    return [sys.executable, "-m", f"services.{service}"]


def platform_environment(
    topology: Topology, *, database_url: str, kafka: str, topic_prefix: str, data: Path
) -> Mapping[str, str]:
    """The settings that the services of one installation share."""
    shared = {
        "OPSWIRE_DATABASE_URL": database_url,
        "OPSWIRE_DATA": str(data),
        "OPSWIRE_TOPIC_PREFIX": topic_prefix,
        **topology.environment,
    }
    return {**shared, "OPSWIRE_KAFKA": kafka} if kafka else shared
