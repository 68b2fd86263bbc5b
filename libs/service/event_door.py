"""What every front door of events shares: whose call it is, what it refuses as a whole, and how it answers (D46)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.responses import Response

from libs.events.door import Refusal, TooManyItems, UnsupportedMedia
from libs.events.strict_json import InvalidJson
from libs.service.auth import EVERY_STORE
from libs.service.call import Answer, CallContext
from libs.service.errors import InvalidBody, TooLarge, Validation, fault
from libs.service.errors import UnsupportedMedia as UnsupportedMediaProblem


def names_no_store(call: CallContext) -> bool:
    """Whether it is an operator's call in which every event names its own store."""
    return call.principal.store == EVERY_STORE and call.named_store is None


def store_of(call: CallContext) -> str | None:
    """The store of the key or of the call; None where every event names its own."""
    return None if names_no_store(call) else call.store


async def known_stores(call: CallContext) -> frozenset[str]:
    """The stores that the call's events may name."""
    if names_no_store(call):
        return frozenset(info.store for info in await call.runtime.stores.every())
    return frozenset({(await call.store_info()).store})


@contextmanager
def refusing_the_whole() -> Iterator[None]:
    """What is wrong with a body as a whole, as its problem: InvalidBody, TooLarge, UnsupportedMedia."""
    try:
        yield
    except InvalidJson as error:
        problem = fault(error.pointer, "invalid_json", error.message)
        raise InvalidBody(error.message, errors=[problem]) from error
    except TooManyItems as error:
        raise TooLarge(str(error)) from error
    except UnsupportedMedia as error:
        raise UnsupportedMediaProblem(f"{error} is not taken here; send JSON or CloudEvents") from error


def told(accepted: int, refused: Sequence[Refusal]) -> dict[str, Any]:
    """The body of the answer: only what was refused is listed."""
    return {
        "accepted": accepted,
        "rejected": len(refused),
        "items": [
            {"index": r.index, "id": r.id, "code": r.code, "pointer": r.pointer, "message": r.message} for r in refused
        ],
    }


def refuse_all(accepted: int, refused: Sequence[Refusal]) -> None:
    """Raise Validation where nothing was accepted and something refused."""
    if refused and not accepted:
        raise Validation(f"all {len(refused)} items were refused", **told(accepted, refused))


async def taken(accepted: int, refused: Sequence[Refusal], call: CallContext) -> Response:
    """202: what was accepted is on its way."""
    if not refused:
        return Response(b'{"accepted":%d,"rejected":0,"items":[]}' % accepted, 202, media_type="application/json")
    return await call.reply(Answer(202, told(accepted, refused)))
