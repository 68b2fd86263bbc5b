"""What several routes share."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from libs.events.transaction import Transaction
from libs.service.call import Answer, CallContext
from libs.service.errors import NotFound
from libs.service.routes import MaskedText
from services.alerts import documents
from services.alerts.domain.documents import Document, Setting
from services.alerts.texts import Language

Words = Annotated[MaskedText, Field(min_length=1, max_length=2000)]


def language_of(call: CallContext) -> Language:
    """The language that an answer is written in."""
    return "en" if call.language == "en" else "zh"


async def put_document(
    call: CallContext, setting: Setting, body_of: Callable[[Document], Mapping[str, Any]]
) -> Response:
    """Save what a store sets and answer with it; `If-Match` guards the version that was written last."""

    async def told(document: Document, _tx: Transaction) -> Mapping[str, Any]:
        return body_of(document)

    return await put_and_tell(call, setting, told)


async def put_and_tell(
    call: CallContext, setting: Setting, body_of: Callable[[Document, Transaction], Awaitable[Mapping[str, Any]]]
) -> Response:
    """The same, where the answer needs more than the document."""

    async def action(tx: Transaction) -> Answer:
        last = await documents.latest(call.store, setting.kind, setting.key, tx, scope=setting.scope)
        call.require_match(last.version if last else 0)
        document = await documents.save(setting, of=call.store, by=call.actor, tx=tx)
        return Answer(200, dict(await body_of(document, tx)), etag=document.version)

    await call.store_info()
    return await call.once(action)


async def remove_document(call: CallContext, kind: str, key: str) -> Response:
    """Take back what a store has set: 204, at once and again. Raises NotFound for what never was."""

    async def action(tx: Transaction) -> Answer:
        last = await documents.latest(call.store, kind, key, tx)
        if last is None:
            raise NotFound(f"there is no such {kind.replace('_', ' ')}")
        call.require_match(last.version)
        await documents.save(Setting(kind, key, None), of=call.store, by=call.actor, tx=tx)
        return Answer(204)

    return await call.once(action)
