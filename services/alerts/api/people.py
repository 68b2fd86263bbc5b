"""People and rotas over HTTP (STF-1, D79)."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from libs.events.contracts.base import Id, Instant, Label, parse_instant
from libs.events.transaction import Transaction
from libs.service.auth import EVERY_STORE
from libs.service.call import Answer, Call, CallContext
from libs.service.errors import NotFound, Validation, fault
from libs.service.privacy import mask_phone
from libs.service.routes import Body, Router
from services.alerts import documents, staff
from services.alerts.api.shared import put_and_tell, put_document, remove_document
from services.alerts.domain.documents import Document, Setting
from services.alerts.domain.people import RIGHTS, WEEKDAYS, Staff, minutes_of

RoleName = Literal["lead", "specialist", "service", "designer", "promotion", "logistics"]


def _edge(value: Any) -> str:
    """A day, or an instant with offset, as it was written."""
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value).isoformat()
        return parse_instant(value if isinstance(value, str) else "").isoformat()
    except ValueError:
        raise PydanticCustomError("edge", "a day YYYY-MM-DD, or a time with offset") from None


def _clock(value: str) -> str:
    try:
        minutes_of(value)
    except ValueError as error:
        raise PydanticCustomError("clock", str(error)) from None
    return value


def _weekday(value: Any) -> Any:
    """`mon`, Monday, or 1 as in ISO 8601; Sunday is 7 or 0."""
    if type(value) is int and 0 <= value <= 7:
        return WEEKDAYS[(value - 1) % 7]
    short = value[:3].lower() if isinstance(value, str) else value
    return short if short in WEEKDAYS and LONG_NAMES[short].startswith(value.lower()) else value


LONG_NAMES = {day: f"{day}{rest}day" for day, rest in zip(WEEKDAYS, ("", "s", "nes", "rs", "", "ur", ""), strict=True)}
Weekday = Annotated[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], BeforeValidator(_weekday)]
Edge = Annotated[str, BeforeValidator(_edge)]
ClockTime = Annotated[str, AfterValidator(_clock)]


class Absent(Body):
    """A time away: days of the store, both included, or instants."""

    begins: Edge = Field(alias="from")
    ends: Edge = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (len(self.begins) == 10) == (len(self.ends) == 10) and _when(self.ends) < _when(self.begins):
            raise PydanticCustomError("order", "ends before it begins")
        return self


def _when(edge: str) -> Any:
    return datetime.fromisoformat(edge)


class PersonSetting(Body):
    """Somebody who works for one or more stores."""

    name: Label
    role: RoleName
    stores: list[Id] = Field(min_length=1, max_length=1000)
    handle: Label | None = None
    mobile: Annotated[str, Field(pattern=r"^\+?[0-9][0-9 -]{4,20}$")] | None = None
    deputy: Id | None = None
    absent: list[Absent] = Field(default_factory=list, max_length=500)
    valid_from: Instant | None = None


class ShiftSetting(Body):
    """A weekly time on duty; one that ends before it begins ends on the next day."""

    weekday: Weekday
    begins: ClockTime = Field(alias="from")
    ends: ClockTime = Field(alias="to")
    person: Id


class RotaSetting(Body):
    """Who of a role is on duty when, and to whom an incident goes up."""

    role: RoleName
    store: Id | None = None
    shifts: list[ShiftSetting] = Field(max_length=1000)
    escalate_to: list[Id] = Field(default_factory=list, max_length=50)
    valid_from: Instant | None = None


def people_routes() -> Router:
    """Reading and setting people and rotas."""
    router = Router(tag="people")

    @router.get("/v1/people", scope="alerts:read")
    async def list_people(call: Call) -> Response:
        """Everybody who works for the store, with what their role may do."""
        await call.store_info()
        async with call.read() as tx:
            found = await documents.list_valid(call.store, staff.PERSON, tx)
        return await call.page([_person_body(person, whole=_sees_whole(call)) for person in found], None)

    @router.get("/v1/people/{person_id}", scope="alerts:read")
    async def show_person(person_id: Id, call: Call) -> Response:
        """A person; the mobile number is masked unless the key has orders:pii."""
        person = await _load(call, staff.PERSON, person_id)
        return await call.reply(Answer(200, _person_body(person, whole=_sees_whole(call)), etag=person.version))

    @router.put("/v1/people/{person_id}", scope="alerts:write")
    async def set_person(person_id: Id, body: PersonSetting, call: Call) -> Response:
        """Add or change a person: role, stores, handle, deputy, absence."""
        if body.deputy == person_id:
            raise Validation("deputy: the same person", errors=[fault("/deputy", "self", "somebody else")])
        setting = _person_setting(person_id, body)
        for other in await _other_stores(person_id, body, call):
            async with call.runtime.api.begin(other) as tx:
                await documents.save(setting, of=other, by=call.actor, tx=tx)
        return await put_document(call, setting, _person_body)

    @router.delete("/v1/people/{person_id}", scope="alerts:write")
    async def remove_person(person_id: Id, call: Call) -> Response:
        """Take a person off the store's staff."""
        return await remove_document(call, staff.PERSON, person_id)

    @router.get("/v1/rotas", scope="alerts:read")
    async def list_rotas(call: Call) -> Response:
        """The rotas, each with who is on duty now."""
        await call.store_info()
        async with call.read() as tx:
            found = await documents.list_valid(call.store, staff.ROTA, tx)
            present = await staff.load(call.store, tx)
            items = [_rota_body(rota, present, tx) for rota in found]
        return await call.page(items, None)

    @router.get("/v1/rotas/{rota_id}", scope="alerts:read")
    async def show_rota(rota_id: Id, call: Call) -> Response:
        """A rota, and who is on duty now."""
        rota = await _load(call, staff.ROTA, rota_id)
        async with call.read() as tx:
            body = _rota_body(rota, await staff.load(call.store, tx), tx)
        return await call.reply(Answer(200, body, etag=f"{rota.version}-{body['on_duty'] or ''}"))

    @router.put("/v1/rotas/{rota_id}", scope="alerts:write")
    async def set_rota(rota_id: Id, body: RotaSetting, call: Call) -> Response:
        """Set who of a role is on duty when, and to whom an incident goes up."""
        value = body.model_dump(by_alias=True, exclude={"valid_from", "store"})
        setting = Setting(staff.ROTA, rota_id, value, valid_from=body.valid_from)

        async def answer(document: Document, tx: Transaction) -> Mapping[str, Any]:
            return _rota_body(document, await staff.load(call.store, tx), tx)

        return await put_and_tell(call, setting, answer)

    @router.delete("/v1/rotas/{rota_id}", scope="alerts:write")
    async def remove_rota(rota_id: Id, call: Call) -> Response:
        """Give up a rota."""
        return await remove_document(call, staff.ROTA, rota_id)

    return router


async def _load(call: CallContext, kind: str, key: str) -> Document:
    await call.store_info()
    async with call.read() as tx:
        document = await documents.load(call.store, kind, key, tx)
    if document is None:
        raise NotFound(f"there is no such {kind}")
    return document


def _person_setting(person_id: str, body: PersonSetting) -> Setting:
    value = body.model_dump(by_alias=True, exclude={"valid_from"})
    told = {**value, "mobile": mask_phone(body.mobile) if body.mobile else None}
    return Setting(staff.PERSON, person_id, value, valid_from=body.valid_from, told=told)


async def _other_stores(person_id: str, body: PersonSetting, call: CallContext) -> list[str]:
    """Besides the call's: those that an operator's key names, and those that the person worked for before."""
    if call.principal.store != EVERY_STORE:
        if call.store not in body.stores:
            message = f"{call.store} is not among them"
            raise Validation(f"stores: {message}", errors=[fault("/stores", "store", message)])
        return []
    if call.named_store is None:
        call.for_store(body.stores[0])
    async with call.read() as tx:
        before = await documents.load(call.store, staff.PERSON, person_id, tx)
    worked = before.value.get("stores", []) if before and before.value else []
    others = sorted({*body.stores, *worked} - {call.store})
    for place, store in enumerate(others):
        await _require_store(store, place, call)
    return others


async def _require_store(store: str, place: int, call: CallContext) -> None:
    try:
        await call.runtime.stores.get(store)
    except NotFound:
        message = f"there is no store {store}"
        raise Validation(f"stores: {message}", errors=[fault(f"/stores/{place}", "store", message)]) from None


def _sees_whole(call: CallContext) -> bool:
    return call.principal.may("orders:pii")


def _person_body(document: Document, *, whole: bool = False) -> dict[str, Any]:
    value = dict(document.value or {})
    if value.get("mobile") and not whole:
        value["mobile"] = mask_phone(value["mobile"])
    rights = list(RIGHTS[value["role"]])
    return {"person": document.key, **value, "rights": rights, "valid_from": document.valid_from}


def _rota_body(document: Document, present: Staff, tx: Transaction) -> dict[str, Any]:
    value = dict(document.value or {})
    named = [*(shift["person"] for shift in value["shifts"]), *value["escalate_to"]]
    return {
        "rota": document.key,
        "store": document.store,
        **value,
        "on_duty": present.owner_for(value["role"], tx.now),
        "unknown_people": sorted({name for name in named if name not in present.people}),
        "valid_from": document.valid_from,
    }
