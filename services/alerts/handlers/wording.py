"""Absolute terms 极限词 in titles, campaigns and offers (ALR-9)."""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import SkuChanged, SkuListed
from libs.events.transaction import Transaction
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.moves import is_backfill
from services.alerts.handlers.raising import Ended, end_all, name_of, raise_once
from services.alerts.rulebook import Rulebook
from services.alerts.rules.planning import ABSOLUTE_WORDING, absolute_terms
from services.alerts.store import memory
from services.alerts.store.memory import Sku


async def judge_titles(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Titles of SKUs, when listed or changed."""
    book, clean = Rulebook(tx), []
    for event in events:
        data = event.data
        title = data.after.title if isinstance(data, SkuChanged) else data.title
        if title is not None and not is_backfill(event, tx.now):
            tx.cause = event
            clean += await find_words(event, {"sku": data.sku}, {"title": title}, book, tx)
    tx.cause = None
    await end_all(clean, tx)


async def find_words(
    event: Envelope[Any], about: Mapping[str, str], fields: Mapping[str, str], book: Rulebook, tx: Transaction
) -> list[Ended]:
    """Raise absolute terms in these texts (`fields`: name -> text); what is to be ended where there are none."""
    sku = Sku("")
    if "sku" in about and await book.has_parts(ABSOLUTE_WORDING, event.store):
        sku = await memory.load_sku(event.store, about["sku"], tx)
    terms = await book.terms(ABSOLUTE_WORDING, event.store, about, category=sku.category)
    if terms is None:
        return []
    found = {name: words for name, text in fields.items() if (words := absolute_terms(text, terms.words))}
    if not found:
        return [Ended(event.store, ABSOLUTE_WORDING, about, event.time)]
    words = list(dict.fromkeys(word for group in found.values() for word in group))
    figures = {"words": ", ".join(words), "field": ", ".join(found), "texts": {name: fields[name] for name in found}}
    name = await name_of(event.store, about, tx)
    await raise_once(Finding(ABSOLUTE_WORDING, about, figures, event.time, name), event.store, tx)
    return []


REACTIONS = (on_batch((SkuListed, SkuChanged), judge_titles),)
