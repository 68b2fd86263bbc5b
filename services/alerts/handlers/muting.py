"""Who is told nothing now, and when that is over (ALR-15)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from libs.events.transaction import Transaction, Transactions
from services.alerts import documents
from services.alerts.documents import Document
from services.alerts.domain import incidents as domain
from services.alerts.domain.incidents import Circumstances, Incident, Mute, Withheld, matter_key
from services.alerts.domain.muting import INHIBITIONS, Silence, inhibitors, silence_of, silenced
from services.alerts.domain.policies import POLICY
from services.alerts.routing import add_notifications
from services.alerts.rules import RULE, About
from services.alerts.store import incidents

SILENCE, RETROACTIVE_AFTER = "silence", "retroactive_after"


async def circumstances(rule: str, about: About, of: str, tx: Transaction) -> Circumstances:
    """What a decision about an alert needs to know: whether it is silenced or explained, and what is too late."""
    kept = await documents.list_valid(of, (SILENCE, RETROACTIVE_AFTER), tx)
    minutes = next((d.value["value"] for d in kept if d.kind == RETROACTIVE_AFTER and d.value), None)
    mute = silenced(_silences(kept), rule, about, tx.now) or await _inhibited(rule, about, of, tx)
    return Circumstances(tx.now, mute, timedelta(minutes=minutes or POLICY[RETROACTIVE_AFTER].default))


def _silences(kept: Iterable[Document]) -> list[Silence]:
    return [
        silence_of(document.key, document.value) for document in kept if document.kind == SILENCE and document.value
    ]


async def _inhibited(rule: str, about: About, of: str, tx: Transaction) -> Mute | None:
    for source, concerned in inhibitors(rule, about):
        incident_id = await incidents.is_firing(of, matter_key(RULE[source], concerned), source, tx)
        if incident_id is not None:
            what = ", ".join(concerned.values())
            return Mute(Withheld.INHIBITED, f"incident:{incident_id}", f"{source} {what}")
    return None


async def end_mutes(worker: Transactions) -> int:
    """Have people told of what still holds and was kept quiet until now; how many incidents that were."""
    async with worker.begin(read_only=True) as tx:
        over = await _list_over(tx)
    told = 0
    for store, incident_id in over:
        async with worker.begin() as tx:
            told += await _end_mute(await incidents.load_incident(store, incident_id, tx, lock=True), tx)
    return told


async def _list_over(tx: Transaction) -> list[tuple[str, str]]:
    """(store, incident id) of muted incidents that neither a silence nor another incident keeps quiet now."""
    muted = await incidents.list_muted(tx, explained_by={inhibition.source for inhibition in INHIBITIONS})
    stores = {row.store for row in muted}
    silences = {of: _silences(await documents.list_valid(of, SILENCE, tx)) for of in sorted(stores)}
    over = [row for row in muted if silenced(silences[row.store], row.rule, row.about, tx.now) is None]
    return [(row.store, row.incident_id) for row in over]


async def _end_mute(incident: Incident, tx: Transaction) -> bool:
    known = await circumstances(incident.rule, incident.about, incident.store, tx)
    if incident.muted is None:
        return False
    if known.mute is not None:
        await incidents.save_incident(replace(incident, muted=known.mute.by), tx)
        return False
    change = domain.unmute(incident, tx.now)
    await incidents.save_incident(change.incident, tx)
    await incidents.add_to_timeline(incident, "told", incident.muted, "what kept it quiet is over", tx)
    await add_notifications(change, tx)
    return True
