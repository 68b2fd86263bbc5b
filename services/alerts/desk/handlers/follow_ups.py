"""Complaints are settled, and bad reviews answered, by a time (SRV-3, SRV-8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from libs.events.codec import Envelope
from libs.events.consumer import on_batch
from libs.events.contracts import ComplaintFiled, ComplaintResolved, ReviewAnswered, ReviewPosted
from libs.events.transaction import Transaction
from services.alerts.desk.domain.follow_ups import Followed, FollowUp, Word, limited, merge, stood, unlimited
from services.alerts.desk.domain.policies import DEFAULT, Kind, Rulers, ServiceClass
from services.alerts.desk.domain.standing import Limited, Moment, settled_at, stand
from services.alerts.desk.handlers.alerting import Matter, in_words, say
from services.alerts.desk.handlers.quarantine import without_future
from services.alerts.desk.store import follow_ups as kept
from services.alerts.desk.store.follow_ups import Key
from services.alerts.desk.store.rulers import load_rulers
from services.alerts.rulebook import Rulebook
from services.alerts.rules import RULE
from services.alerts.store import memory

REVIEWS = "bad_review_unanswered"
_COMPLAINT_FIELDS: tuple[str, ...] = ("kind", "customer_id", "order_id", "conversation_id", "sku", "outcome")
_REVIEW_FIELDS: tuple[str, ...] = ("sku", "order_id", "conversation_id", "stars")


async def note(events: Sequence[Envelope[Any]], tx: Transaction) -> None:
    """Take in what was said of complaints and reviews, in any order."""
    past = await without_future(events, tx)
    keys = {_key(event) for event in past}
    items = await kept.touch_follow_ups(keys, tx)
    book = Rulebook(tx)
    for event in past:
        key = _key(event)
        items[key] = merge(items[key], await _word(event, book))
    await follow(items, tx, causes={_key(event): event for event in past})


def _key(event: Envelope[Any]) -> Key:
    data = event.data
    if isinstance(data, ComplaintFiled | ComplaintResolved):
        return event.store, Followed.COMPLAINT, data.complaint_id
    return event.store, Followed.REVIEW, data.review_id


async def _word(event: Envelope[Any], book: Rulebook) -> Word:
    data = event.data
    imported = event.import_id is not None
    if isinstance(data, ComplaintFiled | ComplaintResolved):
        begins, names = isinstance(data, ComplaintFiled), _COMPLAINT_FIELDS
    else:
        begins = isinstance(data, ReviewPosted) and await _is_bad(event, book)
        names = _REVIEW_FIELDS
    said = {name: getattr(data, name, None) for name in names}
    return Word(
        at=event.time,
        id=f"{event.id} {event.source}",
        begins=begins,
        ends=isinstance(data, ComplaintResolved | ReviewAnswered),
        data={name: value for name, value in said.items() if value is not None},
        settled_at=settled_at(event.recorded_time, imported=imported),
        imported=imported,
    )


async def _is_bad(event: Envelope[ReviewPosted], book: Rulebook) -> bool:
    terms = await book.terms(RULE[REVIEWS], event.store, {"sku": event.data.sku})
    stars = terms.numbers["stars"] if terms else RULE[REVIEWS].parameters["stars"]
    return event.data.stars <= stars


# judging


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take."""

    warn_at: datetime
    due_at: datetime
    span: timedelta


async def follow(
    items: Mapping[Key, FollowUp],
    tx: Transaction,
    *,
    causes: Mapping[Key, Envelope[Any]],
    judged_until: datetime | None = None,
) -> None:
    """Judge these (locked) and save them; `judged_until` judges what waits up to then, else as far as before."""
    rulers = {store: await load_rulers(store, tx) for store in sorted({store for store, _, _ in items})}
    judged = []
    for key in sorted(items):
        tx.cause = causes.get(key)
        judged.append(await _judge(items[key], rulers[key[0]], judged_until, tx))
    tx.cause = None
    await kept.save_follow_ups(judged, tx)


async def _judge(item: FollowUp, rulers: Rulers, judged_until: datetime | None, tx: Transaction) -> FollowUp:
    limit = await _limit(item, rulers, tx)
    if limit is None:
        return unlimited(item)
    known_until = max(item.known_until, judged_until or item.known_until)
    against = limited(item, limit.warn_at, limit.due_at, known_until)
    standing = stand(against, item.said, Moment(known_until, item.settled_at, tx.now, item.imported))
    if standing.acts:
        await say(await _matter(item, limit, against, tx), standing.acts, tx)
    return stood(item, against, standing, known_until)


async def _limit(item: FollowUp, rulers: Rulers, tx: Transaction) -> Limit | None:
    if item.started_at is None:
        return None
    if item.kind is Followed.COMPLAINT:
        return _complaint_limit(item.started_at, rulers)
    terms = await Rulebook(tx).terms(RULE[REVIEWS], item.store, {"sku": str(item.data["sku"])})
    numbers = terms.numbers if terms else RULE[REVIEWS].parameters
    span = timedelta(hours=numbers["hours"])
    return Limit(item.started_at + span * numbers.get("warn_at", 0.8), item.started_at + span, span)


def _complaint_limit(started_at: datetime, rulers: Rulers) -> Limit | None:
    """A complaint is settled in the time of a complex problem (D80), by the policy that was valid when it was filed."""
    valid = (p for p in rulers.policies if p.id == DEFAULT and p.begins <= started_at < p.until)
    policy = next(valid, None)
    found = policy.limit(ServiceClass.AFTER_SALE, True, Kind.SOLUTION) if policy else None
    if policy is None or found is None:
        return None
    hours, span = rulers.hours(policy), found[1]
    return Limit(hours.after(started_at, span * policy.warn_at), hours.after(started_at, span), span)


async def _matter(item: FollowUp, limit: Limit, against: Limited, tx: Transaction) -> Matter:
    is_complaint = item.kind is Followed.COMPLAINT
    about = {f"{item.kind.value}_id": item.id}
    sku = item.data.get("sku")
    name = await memory.load_sku(item.store, sku, tx) if sku and not is_complaint else None
    return Matter(
        store=item.store,
        rule="solution_overdue" if is_complaint else REVIEWS,
        about=about if is_complaint else {**about, "sku": str(sku)},
        figures={
            **item.data,
            "case": item.id,
            "limit": in_words(limit.span),
            "hours": round(limit.span / timedelta(hours=1), 2),
            "limit_seconds": int(limit.span.total_seconds()),
            "started_at": item.started_at.isoformat() if item.started_at else None,
            "due_at": limit.due_at.isoformat(),
        },
        warn_at=against.warn_at,
        due_at=against.due_at,
        over_at=item.stopped_at,
        name=name.title if name else "",
    )


REACTIONS = (on_batch((ComplaintFiled, ComplaintResolved, ReviewPosted, ReviewAnswered), note),)
