"""What several routes share."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from libs.events.transaction import Transaction
from libs.service.call import Answer, CallContext
from libs.service.routes import MaskedText
from services.alerts import documents
from services.alerts.domain.documents import Document, Setting
from services.alerts.texts import Language

Words = Annotated[MaskedText, Field(min_length=1, max_length=2000)]


def language_of(call: CallContext) -> Language:
    """The language that an answer is written in."""
    return "en" if call.language == "en" else "zh"


BodyOf = Callable[[Document], Mapping[str, Any]]


async def put_document(call: CallContext, setting: Setting, body_of: BodyOf) -> Response:
    """Save what a store sets and answer with it; `If-Match` guards the version that was written last."""

    async def action(tx: Transaction) -> Answer:
        last = await documents.latest(call.store, setting.kind, setting.key, tx, scope=setting.scope)
        call.require_match(last.version if last else 0)
        document = await documents.save(setting, of=call.store, by=call.actor, tx=tx)
        return Answer(200, dict(body_of(document)), etag=document.version)

    await call.store_info()
    return await call.once(action)
