"""The HTTP front door of reporting: reports in four shapes, their editions and what changed between them."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, WrongState, fault
from libs.service.routes import Router
from services.reporting import publishing, store
from services.reporting.domain import changed_cells, daily_report, measures_behind
from services.reporting.live import Kpi
from services.reporting.periods import Period, parse_period
from services.reporting.publishing import stamped
from services.reporting.render import SHAPES, Shape
from services.reporting.reports import REPORT, Report
from services.reporting.texts import Language


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report of which period a path names."""

    report: Report
    period: Period

    @classmethod
    def parse(cls, kind: str, period: str) -> "Wanted":
        """Raises NotFound for an unknown kind, Validation for a period that does not exist."""
        report = REPORT.get(kind)
        if report is None:
            raise NotFound(f"there is no report {kind}; there are {', '.join(REPORT)}")
        return cls(report, parse_period(report.grain, period))


def router_of(kpi: Kpi) -> Router:
    """The routes of reporting."""
    router = Router(tag="reports")

    @router.get("/v1/reports/{kind}/{period}", scope="reports:read")
    async def show_report(
        kind: str, period: str, call: Call, edition: int | None = None, lang: str | None = None
    ) -> Response:
        """A report as JSON, page (.html), spreadsheet (.xlsx) or CSV; the newest edition, or `?edition=`.

        A period without an edition yet is computed live as edition 0.
        """
        name, shape = _split(period, call)
        wanted = Wanted.parse(kind, name)
        language = _language(call, lang)
        async with call.read() as tx:
            found = (
                None
                if edition == 0
                else await store.load_edition(call.store, wanted.report.id, wanted.period.name, edition, tx)
            )
            if found is not None:
                body = await store.load_shape(
                    call.store, kind, wanted.period.name, found.edition, language, shape.extension, tx
                )
                return _shaped(body, shape, wanted, found.edition, language)
        if edition:
            raise NotFound(f"there is no edition {edition} of {kind} {wanted.period.name}")
        content = await _live(wanted, kpi, call)
        return _shaped(shape.render(wanted.report, content, language), shape, wanted, 0, language)

    @router.get("/v1/reports/{kind}/{period}/editions", scope="reports:read")
    async def list_editions(kind: str, period: str, call: Call) -> Response:
        """The editions of a period: when, why, and how many cells changed."""
        wanted = Wanted.parse(kind, period)
        zone = (await call.store_info()).zone
        async with call.read() as tx:
            editions = await store.list_editions(call.store, kind, wanted.period.name, tx)
        items = [
            {
                "edition": e.edition,
                "published_at": e.published_at.astimezone(zone),
                "reason": e.reason,
                "changed_cells": e.changed_cells,
                "log_position": e.log_position,
            }
            for e in editions
        ]
        return await call.page(items, None)

    @router.get("/v1/reports/{kind}/{period}/diff", scope="reports:read")
    async def show_diff(kind: str, period: str, call: Call) -> Response:
        """What changed between two editions, `?from=1&to=2`, and the events that did it (RPT-7)."""
        wanted = Wanted.parse(kind, period)
        first, second = _number(call, "from"), _number(call, "to")
        return await call.reply(Answer(200, {"cells": await _diff(wanted, first, second, call)}))

    @router.post("/v1/reports/{kind}/{period}", scope="reports:write", status_code=201)
    async def make_report(kind: str, period: str, call: Call) -> Response:
        """Make the next edition now; 200 with the newest one where there is nothing new to say."""
        wanted = Wanted.parse(kind, period)
        return await call.once(lambda tx: _make_now(wanted, call, tx))

    return router


def _split(period: str, call: CallContext) -> tuple[str, Shape]:
    """The period's name and the shape: by extension, else by Accept, else JSON."""
    name, dot, extension = period.rpartition(".")
    if dot:
        if extension not in SHAPES:
            raise NotFound(f"reports come as {', '.join(SHAPES)}")
        return name, SHAPES[extension]
    accept = call.request.headers.get("accept", "")
    for shape in SHAPES.values():
        if shape.media_type.partition(";")[0] in accept:
            return period, shape
    return period, SHAPES["json"]


def _language(call: CallContext, lang: str | None) -> Language:
    if lang not in (None, "zh", "en"):
        raise Validation("lang: zh or en", errors=[fault("/lang", "language", "zh or en")])
    return "en" if (lang or call.language) == "en" else "zh"


def _number(call: CallContext, name: str) -> int:
    given = call.request.query_params.get(name, "")
    if not given.isascii() or not given.isdecimal() or len(given) > 9:
        raise Validation(f"{name}: the number of an edition", errors=[fault(f"/{name}", "int_type", "a number")])
    return int(given)


def _shaped(body: bytes, shape: Shape, wanted: Wanted, edition: int, language: Language) -> Response:
    headers = {"Content-Language": language, "Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Language"}
    if edition:
        headers["ETag"] = f'"{edition}-{language}-{shape.extension}"'
    if shape.extension in ("xlsx", "csv"):
        name = f"{wanted.report.id}-{wanted.period.name}.{shape.extension}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if shape.extension == "html":
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(body, media_type=shape.media_type, headers=headers)


async def _live(wanted: Wanted, kpi: Kpi, call: CallContext) -> dict[str, Any]:
    """Edition 0. Raises NotFound for a period that has not begun, or lies before the store's first event."""
    info = await call.store_info()
    now = call.runtime.clock()
    if wanted.period.starts_at(info.zone) > now:
        raise NotFound(f"{wanted.period.name} has not begun")
    authorization = call.request.headers.get("authorization", "")
    today = await kpi.day(wanted.report, wanted.period, of=info.store, authorization=authorization)
    if wanted.period.ends_at(info.zone) <= now and not any((today.total or {}).values()):
        raise NotFound(f"nothing is known of {wanted.period.name}")
    async with call.read() as tx:
        before, _ = await store.load_day(info.store, wanted.period.previous(), (), tx)
        targets = await store.load_targets(info.store, wanted.period.first, tx)
    content = daily_report(wanted.report, today, before, targets)
    completeness = {"complete": False, "topics": []}
    return stamped({**content, "period": wanted.period.name, "completeness": completeness}, info.store, 0, None)


async def _make_now(wanted: Wanted, call: CallContext, tx: Any) -> Answer:
    info = await call.store_info()
    if wanted.period.ends_at(info.zone) > tx.now:
        raise WrongState("running", ["wait for its end"])
    due = await store.lock_period(info.store, wanted.report.id, wanted.period.name, tx)
    made = await publishing.publish(due, info, tx, reason="asked")
    newest = made or await store.load_edition(info.store, due.report, due.period, None, tx)
    number = newest.edition if newest else 0
    body = {"report": due.report, "period": due.period, "edition": number}
    return Answer(201 if made else 200, body)


async def _diff(wanted: Wanted, first: int, second: int, call: CallContext) -> list[dict[str, Any]]:
    async with call.read() as tx:
        editions = [
            await store.load_edition(call.store, wanted.report.id, wanted.period.name, number, tx)
            for number in (first, second)
        ]
        before, after = editions
        if before is None or after is None:
            raise NotFound(f"there is no edition {first if before is None else second}")
        spans = sorted((before.published_at, after.published_at))
        corrections = await store.load_corrections(call.store, wanted.period, spans[0], spans[1], tx)
    return [
        {"path": cell.path, "from": cell.before, "to": cell.after, **_causes(wanted.report, cell.path, corrections)}
        for cell in changed_cells(before.content, after.content)
    ]


def _causes(report: Report, path: str, corrections: list[Any]) -> dict[str, Any]:
    """The events behind the corrections of the measures that a cell is made of."""
    measures = measures_behind(report, path)
    mine = [c for c in corrections if measures & set(c.measures)]
    causes = dict.fromkeys(cause for c in mine for cause in c.causes)
    return {
        "causes": [{"event_id": cause, "type": None, "time": None} for cause in causes],
        "cause_count": max(len(causes), *(c.cause_count for c in mine)) if mine else 0,
    }
