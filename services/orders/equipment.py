"""How a route gets what the service was put together with."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from services.orders.handlers.placing import Kit


def kit_of(request: Request) -> Kit:
    """The kit of this process."""
    kit: Kit = request.app.state.kit
    return kit


Equipped = Annotated[Kit, Depends(kit_of)]
