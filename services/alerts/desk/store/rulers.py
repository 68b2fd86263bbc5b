"""The policies and calendars of stores, from what they have set, with its history."""

from collections import defaultdict
from collections.abc import Iterable

from libs.events.transaction import Transaction
from services.alerts import documents
from services.alerts.desk.domain.hours import ServiceHours
from services.alerts.desk.domain.policies import DEFAULT, Policy, Rulers, history
from services.alerts.desk.domain.settings import read_calendar, read_policy
from services.alerts.domain.documents import Document

CALENDAR = "calendar"
SLA_POLICY = "sla_policy"


async def load_rulers(store: str, tx: Transaction) -> Rulers:
    """All versions of a store's policies and calendars."""
    policies = _by_key(await documents.versions(store, SLA_POLICY, tx))
    calendars = _by_key(await documents.versions(store, CALENDAR, tx))
    return Rulers(
        tuple(
            version
            for policy_id in sorted({DEFAULT, *policies})
            for version in history(policy_id, list(_policies(policy_id, policies.get(policy_id, ()))))
        ),
        {calendar_id: _hours(versions) for calendar_id, versions in calendars.items()},
    )


def _by_key(versions: Iterable[Document]) -> dict[str, list[Document]]:
    found: defaultdict[str, list[Document]] = defaultdict(list)
    for document in versions:
        found[document.key].append(document)
    return found


def _policies(policy_id: str, versions: Iterable[Document]) -> Iterable[Policy]:
    for document in versions:
        if document.value is not None:
            yield read_policy(policy_id, document.value, document.valid_from)


def _hours(versions: Iterable[Document]) -> ServiceHours:
    """Of two versions from one instant on the last word holds."""
    last = {document.valid_from: document for document in versions if document.value is not None}
    return ServiceHours(tuple((since, read_calendar(last[since].value or {})) for since in sorted(last)))
