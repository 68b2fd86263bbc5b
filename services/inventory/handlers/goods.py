"""Receipts, adjustments and counts, one or many in a transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table

from libs.events.transaction import Transaction
from libs.service.errors import Conflict, Problem, Validation
from libs.service.idempotency import Claim, Kept, claim_all, keep_all
from services.inventory.domain.commands import Adjust, Adjusted, Compared, Count, Outcome, Receive
from services.inventory.handlers.apply import apply, rehearse
from services.inventory.store.counts import save_count


async def take_in(commands: Sequence[Receive | Adjust], tx: Transaction) -> list[Outcome]:
    """Apply all of them or none. Raises Validation that names each item that cannot be."""
    outcomes = await apply(commands, tx)
    faults: list[dict[str, Any]] = []
    for n, outcome in enumerate(outcomes):
        if isinstance(outcome, Problem):
            where = f"/{n}" if len(commands) > 1 else ""
            faults += [{**error, "pointer": where + error["pointer"]} for error in outcome.errors]
    if faults:
        raise Validation(f"{faults[0]['message']}; nothing was changed", errors=faults)
    return [outcome for outcome in outcomes if not isinstance(outcome, Problem)]


async def take_in_new(
    commands: Sequence[Receive | Adjust], claims: Sequence[Claim], idempotency: Table, tx: Transaction
) -> list[int | None]:
    """As `take_in`, each item at most once ever by its natural id (D2): the units moved, None where it was known.

    Raises Conflict for an id that exists with another content.
    """
    taken = await claim_all(tx.session, idempotency, claims, tx.now)
    for problem in taken.values():
        if isinstance(problem, Problem):
            raise problem if isinstance(problem, Conflict) else Conflict(str(problem))
    fresh = [n for n, claim in enumerate(claims) if claim not in taken]
    outcomes = dict(zip(fresh, await take_in([commands[n] for n in fresh], tx), strict=True))
    await keep_all(tx.session, idempotency, {claims[n]: Kept(201) for n in fresh})
    return [_units(commands[n], outcomes[n]) if n in outcomes else None for n in range(len(commands))]


def _units(command: Receive | Adjust, outcome: Outcome) -> int:
    return outcome.applied if isinstance(outcome, Adjusted) else command.quantity


async def take_count(command: Count, tx: Transaction, *, dry_run: bool) -> Compared:
    """Compare a count with the ledger and correct what differs; a dry run only compares (INV-10)."""
    (outcome,) = await (rehearse if dry_run else apply)([command], tx)
    assert isinstance(outcome, Compared)
    if not dry_run:
        await save_count(tx.session, command, outcome, tx.now)
    return outcome
