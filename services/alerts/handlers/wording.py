"""Absolute terms 极限词 in titles, campaigns and offers (ALR-9)."""

from collections.abc import Mapping
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import SkuChanged, SkuListed
from libs.events.transaction import Transaction
from services.alerts.domain.incidents import Finding
from services.alerts.handlers.raising import Ended, end_all, raise_once
from services.alerts.rulebook import Rulebook
from services.alerts.rules.planning import ABSOLUTE_WORDING, absolute_terms
from services.alerts.store import memory
from services.alerts.store.memory import Sku


async def judge_titles(events: Any, tx: Transaction) -> None:
    """Titles of SKUs, when listed or changed."""
    book = Rulebook(tx)
    for event in events:
        data = event.data
        title = data.after.title if isinstance(data, SkuChanged) else data.title
        if title is not None:
            tx.cause = event
            await judge_words(event, {"sku": data.sku}, {"title": title}, book, tx)
    tx.cause = None


async def judge_words(
    event: Envelope[Any], about: Mapping[str, str], fields: Mapping[str, str], book: Rulebook, tx: Transaction
) -> None:
    """Raise absolute terms in these texts (`fields`: name -> text); end the alert where there are none any more."""
    sku = await memory.load_sku(event.store, about["sku"], tx) if "sku" in about else Sku("")
    terms = await book.terms(ABSOLUTE_WORDING, event.store, about, category=sku.category)
    if terms is None:
        return
    found = {name: words for name, text in fields.items() if (words := absolute_terms(text, terms.words))}
    if not found:
        await end_all([Ended(event.store, ABSOLUTE_WORDING, about, event.time)], tx)
        return
    words = list(dict.fromkeys(word for group in found.values() for word in group))
    figures = {"words": ", ".join(words), "field": ", ".join(found), "texts": {name: fields[name] for name in found}}
    await raise_once(Finding(ABSOLUTE_WORDING, about, figures, event.time, sku.title), event.store, tx)


REACTIONS = (on_batch((SkuListed, SkuChanged), judge_titles),)
