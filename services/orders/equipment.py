"""How a route gets what the service was put together with.

Both are coroutines: FastAPI runs plain functions in a pool of threads, which costs a third of a placement.
"""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from services.orders.handlers.placing import Kit
from services.orders.till import Till


async def kit_of(request: Request) -> Kit:
    """The kit of this process."""
    kit: Kit = request.app.state.kit
    return kit


Equipped = Annotated[Kit, Depends(kit_of)]


async def till_of(request: Request) -> Till:
    """The till of this process."""
    till: Till = request.app.state.till
    return till


AtTheTill = Annotated[Till, Depends(till_of)]
