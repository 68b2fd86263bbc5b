"""What people bring and define: spend, costs, measures, competitors; campaigns, targets, experiments; imports."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from starlette.responses import Response

from libs.events import strict_json
from libs.events.codec import data_json
from libs.events.contracts import AdSpent, CompetitorSeen, CostEntered, Event, Id, MeasureEntered
from libs.events.scrub import scrubbed
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.pagination import Page, listing
from libs.service.privacy import mask_text
from libs.service.routes import Body, Router
from services.kpi import bodies, openapi
from services.kpi.answers import half_up
from services.kpi.brought_tables import SPEND, bounded, entries_of
from services.kpi.calendar import calendar_of
from services.kpi.definitions import (
    CAMPAIGN,
    EXPERIMENT,
    TARGET,
    Definition,
    Kind,
    define,
    find_definition,
    list_definitions,
)
from services.kpi.experiments import read_experiment
from services.kpi.imports import end_import, open_import
from services.kpi.ingest import has_its_hour
from services.kpi.kpis import find_kpi
from services.kpi.on_demand import clearing_of

FUTURE = timedelta(minutes=5)
"""A report from further ahead than this is refused: it would win over every later one (D5, D10)."""

T = TypeVar("T")
router = Router(tag="desk")


# brought


@router.post("/v1/ad-spend", scope="kpi:write", status_code=201, large=True, raw=True, openapi_extra=openapi.SPEND)
async def report_spend(call: Call) -> Response:
    """Ad spend of days or hours: a JSON array, CSV or XLSX with the same names as columns. All or nothing.

    The same channel, source, campaign, plan, SKU, creative and period again replaces what was reported before.
    """
    entries = bounded(await entries_of(call, bodies.AdSpend, SPEND))
    calendar = calendar_of((await call.store_info()).zone.key)
    events = [AdSpent(**_fields(entry, "reported_at")) for entry in entries]
    for index, event in enumerate(events):
        if not has_its_hour(event, calendar):
            raise _bad(index, "hour", "hour", "does not exist in the store's zone")
    times = [_not_ahead(index, "reported_at", entry.reported_at, call) for index, entry in enumerate(entries)]
    return await _bring(call, events, times)


@router.post("/v1/measures", scope="kpi:write", status_code=201, large=True)
async def enter_measures(body: list[bodies.Measure], call: Call) -> Response:
    """Figures of days or months that a person or a file brings (KPI-9). All or nothing."""
    events = [MeasureEntered(**_fields(entry), by=call.actor) for entry in bounded(body)]
    return await _bring(call, events, [None] * len(events))


@router.post("/v1/costs", scope="kpi:write", status_code=201, large=True)
async def enter_costs(body: list[bodies.Cost], call: Call) -> Response:
    """Costs of days or months (KPI-11). All or nothing; the same category, period, SKU and campaign again replaces."""
    events = [CostEntered(**_fields(entry), by=call.actor) for entry in bounded(body)]
    return await _bring(call, events, [None] * len(events))


@router.post("/v1/competitors", scope="kpi:write", status_code=201, large=True)
async def log_competitors(body: list[bodies.Competitor], call: Call) -> Response:
    """Rivals' prices that were seen (ALR-18). All or nothing; the very same entry again counts once."""
    entries = bounded(body)
    currency = (await call.store_info()).currency
    events = [CompetitorSeen(**{"currency": currency, **_fields(entry, "seen_at")}, by=call.actor) for entry in entries]
    times = [_not_ahead(index, "seen_at", entry.seen_at, call) for index, entry in enumerate(entries)]
    return await _bring(call, events, times, by_content=True)


async def _bring(
    call: CallContext, events: Sequence[Event], times: Sequence[datetime | None], *, by_content: bool = False
) -> Response:
    reference = call.runtime.installation.pseudonyms.replace
    clean = [scrubbed(event, reference=reference, text=mask_text) for event in events]

    async def action(tx: Transaction) -> Answer:
        for event, time in zip(clean, times, strict=True):
            key = _content_id(tx.store, event, time) if by_content else None
            tx.emit(event, time=time, event_id=key)
        return Answer(201, {"accepted": len(clean)})

    return await call.once(action)


def _content_id(store: str, event: Event, time: datetime | None) -> str:
    """An id that the same entry gets again, whoever enters it."""
    said = strict_json.loads(data_json(event))
    said.pop("by", None)
    when = "" if time is None else time.astimezone(UTC).isoformat()
    return str(uuid5(NAMESPACE_URL, f"opswire:{store}:{event.TYPE}:{when}:{sorted(said.items())}"))


def _fields(entry: Body, *left_out: str) -> dict[str, Any]:
    given = {name: getattr(entry, name) for name in type(entry).model_fields if name not in left_out}
    return {name: value for name, value in given.items() if value is not None}


def _not_ahead(index: int, name: str, time: datetime | None, call: CallContext) -> datetime | None:
    if time is not None and time > call.runtime.clock() + FUTURE:
        raise _bad(index, name, "future", "more than 5 minutes in the future")
    return time


def _bad(index: int, name: str, code: str, message: str) -> Validation:
    return Validation(f"entry {index}: {name} {message}", errors=[fault(f"/{index}/{name}", code, message)])


# imports


@router.post("/v1/imports", scope="kpi:write", status_code=201)
async def begin_import(body: bodies.Import, call: Call) -> Response:
    """Open a backfill; what carries its id fills buckets that stay incomplete until it ends (D6)."""

    async def action(tx: Transaction) -> Answer:
        await open_import(body.import_id, tx)
        return Answer(201, {"import_id": body.import_id, "status": "open"})

    return await call.once(action)


@router.post("/v1/imports/{import_id}/end", scope="kpi:write")
async def finish_import(import_id: Id, call: Call) -> Response:
    """End a backfill: what it touched is measured once everything of it has been applied."""

    async def action(tx: Transaction) -> Answer:
        ended_at = await end_import(import_id, tx)
        return Answer(200, {"import_id": import_id, "status": "ended", "ended_at": ended_at})

    return await call.once(action)


# defined


@router.put("/v1/campaigns/{campaign}", scope="kpi:write")
async def plan_campaign(campaign: Id, body: bodies.Campaign, call: Call) -> Response:
    """Plan a campaign, or change its plan (template 2). 201 when it is new."""
    fields = {"campaign": campaign, **body.model_dump(mode="json")}
    return await _define(CAMPAIGN, campaign, fields, call, ends_at=body.ends_at)


@router.put("/v1/targets/{target}", scope="kpi:write")
async def set_target(target: Id, body: bodies.Target, call: Call) -> Response:
    """Set a target, or change it (KPI-9). 201 when it is new."""
    _check_kept(body)
    return await _define(TARGET, target, {"target_id": target, **body.model_dump(mode="json")}, call)


@router.put("/v1/experiments/{experiment}", scope="kpi:write")
async def start_experiment(experiment: Id, body: bodies.Experiment, call: Call) -> Response:
    """Define an experiment of two or more variants (KPI-8). 201 when it is new."""
    fields = {"experiment": experiment, **body.model_dump(mode="json")}
    return await _define(EXPERIMENT, experiment, fields, call, ends_at=body.ends_at)


def _check_kept(body: bodies.Target) -> None:
    """A target of a figure of ours names only dimensions by which the figure is kept."""
    kpi = find_kpi(body.metric)
    names = tuple(sorted(body.dimension))
    if kpi is not None and names and names not in kpi.kept():
        message = f"{kpi.id} is not kept by {'+'.join(names)}"
        raise Validation(message, errors=[fault("/dimension", "not_kept", message)])


async def _define(
    kind: Kind, key: str, fields: dict[str, Any], call: CallContext, *, ends_at: datetime | None = None
) -> Response:
    async def action(tx: Transaction) -> Answer:
        body = {name: value for name, value in _scrubbed(kind, fields).items() if value is not None}
        definition, is_new = await define(kind, key, body, tx, ends_at=ends_at, check=call.require_match)
        return Answer(201 if is_new else 200, shown(definition), etag=definition.version)

    return await call.once(action)


def _scrubbed(kind: Kind, fields: dict[str, Any]) -> dict[str, Any]:
    event = scrubbed(kind.first.model_validate(fields), reference=lambda name: name, text=mask_text)
    body: dict[str, Any] = event.model_dump(mode="json", by_alias=True)
    return body


def shown(definition: Definition) -> dict[str, Any]:
    """A definition as answered."""
    return {**definition.body, "version": definition.version, "changed_at": definition.changed_at}


@router.get("/v1/campaigns", scope="kpi:read")
async def list_campaigns(call: Call, page: Page) -> Response:
    """Campaigns, by id."""
    return await _list(CAMPAIGN, call, page)


@router.get("/v1/targets", scope="kpi:read")
async def list_targets(call: Call, page: Page) -> Response:
    """Targets, by id."""
    return await _list(TARGET, call, page)


@router.get("/v1/campaigns/{campaign}", scope="kpi:read")
async def show_campaign(campaign: Id, call: Call) -> Response:
    """A campaign's plan, and how much of its SKUs' stock it has cleared so far (KPI-9)."""
    definition = await _find(CAMPAIGN, campaign, call)
    async with call.read() as tx:
        cleared = await clearing_of(definition, tx)
    stock = {
        "units_sold": cleared.sold,
        "units_at_start": cleared.at_start,
        "stock_cleared": half_up(cleared.sold, cleared.at_start),
    }
    return await call.reply(Answer(200, {**shown(definition), "stock": stock}, etag=definition.version))


@router.get("/v1/targets/{target}", scope="kpi:read")
async def show_target(target: Id, call: Call) -> Response:
    """A target."""
    return await _show(TARGET, target, call)


@router.get("/v1/experiments/{experiment}", scope="kpi:read")
async def show_experiment(experiment: Id, call: Call) -> Response:
    """An experiment: per variant visitors, converted and rate; difference with its 95 % interval (Newcombe), p value
    (two-proportion z test), and whether the split is even (chi-square); the first two variants are compared (KPI-8).
    """
    definition = await _find(EXPERIMENT, experiment, call)
    async with call.read() as tx:
        figures = await read_experiment(definition, call.runtime.clock(), tx)
    return await call.reply(Answer(200, {**shown(definition), **figures}, etag=definition.version))


async def _show(kind: Kind, key: str, call: CallContext) -> Response:
    definition = await _find(kind, key, call)
    return await call.reply(Answer(200, shown(definition), etag=definition.version))


async def _find(kind: Kind, key: str, call: CallContext) -> Definition:
    async with call.read() as tx:
        definition = await find_definition(kind, call.store, key, tx.session)
    if definition is None:
        raise NotFound(f"no such {kind.name}")
    return definition


async def _list(kind: Kind, call: CallContext, page: Page) -> Response:
    after = page.after(str)
    async with call.read() as tx:
        rows = await list_definitions(kind, call.store, after[0] if after else "", page.fetch, tx.session)
    found, cursor = listing(page, rows, lambda definition: (definition.id,))
    return await call.page([shown(definition) for definition in found], cursor)
