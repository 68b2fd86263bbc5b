"""Alertmanager's webhook (v4): technical alerts reach the same inbox (rule `technical`)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import Response

from libs.events.contracts.base import Instant
from libs.events.transaction import Transaction
from libs.service.call import Answer, Call
from libs.service.privacy import mask_text
from libs.service.routes import Router, decode_json, validate
from services.alerts.channels.alertmanager import fingerprint
from services.alerts.channels.wording import cut, one_line
from services.alerts.domain.incidents import Finding, matter_key
from services.alerts.handlers.finding import found, recovered
from services.alerts.rules.running import TECHNICAL
from services.alerts.store import incidents

Labels = Annotated[
    dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=4000)]], Field(max_length=64)
]
TITLE_BYTES = 300


class Theirs(BaseModel):
    """What Alertmanager writes; it may say more than we read."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class TechnicalAlert(Theirs):
    """One alert of a group."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = Field(default_factory=dict)
    startsAt: Instant  # noqa: N815 - Alertmanager's own name

    @property
    def about(self) -> dict[str, str]:
        """Which alert it is: its name, and the digest of its labels."""
        return {"alertname": self.name, "fingerprint": fingerprint(self.labels)}

    @property
    def name(self) -> str:
        """As Prometheus calls it."""
        return cut(one_line(self.labels.get("alertname", "alert")), 200)

    @property
    def title(self) -> str:
        """What a person reads first."""
        words = self.annotations.get("summary") or self.annotations.get("description") or self.name
        return cut(mask_text(one_line(words)), TITLE_BYTES)


class AlertGroup(Theirs):
    """The body of a call."""

    version: Literal["4"]
    alerts: Annotated[list[TechnicalAlert], Field(max_length=1000)]


_GROUP = TypeAdapter(AlertGroup)
_SCHEMA = {
    "type": "object",
    "description": "The webhook payload of Alertmanager, version 4",
    "required": ["version", "alerts"],
    "properties": {"version": {"const": "4"}, "alerts": {"type": "array", "items": {"type": "object"}}},
}
_DESCRIBED = {"requestBody": {"content": {"application/json": {"schema": _SCHEMA}}, "required": True}}


def alertmanager_routes() -> Router:
    """The one route that Alertmanager calls."""
    router = Router(tag="alertmanager")

    @router.post("/v1/alertmanager", scope="alerts:write", raw=True, openapi_extra=_DESCRIBED)
    async def take_alerts(call: Call) -> Response:
        """Open an incident for what fires, and have recovered what is resolved. Any call may come again."""
        body: AlertGroup = validate(_GROUP, call.content, decode_json(call.content), is_foreign=True)

        async def take(tx: Transaction) -> Answer:
            for alert in sorted(body.alerts, key=lambda alert: alert.about["fingerprint"]):
                await _take(alert, call.store, tx)
            return Answer(200, {"alerts": len(body.alerts)})

        return await call.once(take)

    return router


async def _take(alert: TechnicalAlert, store: str, tx: Transaction) -> None:
    key = matter_key(TECHNICAL, alert.about)
    if alert.status == "resolved":
        await recovered(store, key, [TECHNICAL.id], tx.now, tx)
    elif not await _is_known(store, key, tx):
        severity, since = alert.labels.get("severity", ""), alert.startsAt.isoformat()
        figures = {"title": alert.title, "severity": severity, "since": since}
        await found(Finding(TECHNICAL, alert.about, figures, tx.now), store, tx)


async def _is_known(store: str, key: str, tx: Transaction) -> bool:
    """Alertmanager says again and again that an alert fires."""
    await incidents.lock_matter(store, key, tx)
    standing = await incidents.load_standing(store, key, tx)
    return standing is not None and any(alert.recovered_at is None for alert in standing.alerts)
