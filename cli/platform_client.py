"""How commands talk to the services: over HTTP through their front doors, with an operator's key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from cli.installation import Installation
from cli.operator_key import short_lived_key
from cli.output import CommandFailed

TIMEOUT = httpx2.Timeout(30.0, connect=3.0)


@asynccontextmanager
async def front_door(installation: Installation, service: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one service with an operator's key. Raises CommandFailed when the service cannot be reached."""
    headers = {"Authorization": f"Bearer {await key_of(installation)}"}
    address = installation.address(service)
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=TIMEOUT) as client:
        try:
            yield client
        except httpx2.TransportError as problem:
            fix = f"check that it runs; its address can be set by OPSWIRE_{service.upper()}_URL"
            raise CommandFailed(f"the service {service} does not answer at {address}: {problem!r}", fix) from problem


async def key_of(installation: Installation) -> str:
    """The operator's key that `opswire up` left, or a short-lived one where only the database is known."""
    if installation.key:
        return installation.key
    async with installation.engine() as engine:
        return await short_lived_key(engine)


def answered(response: httpx2.Response) -> Any:
    """The JSON of a good answer. Raises CommandFailed with what the service said."""
    if response.is_success:
        return response.json()
    raise CommandFailed(_said(response))


def _said(response: httpx2.Response) -> str:
    try:
        problem: Mapping[str, Any] = response.json()
    except ValueError:
        return f"the service answered {response.status_code}"
    places = "; ".join(f"{e.get('pointer', '')}: {e.get('message', '')}" for e in problem.get("errors") or [])
    return ": ".join(part for part in (problem.get("title"), problem.get("detail"), places) if part)
