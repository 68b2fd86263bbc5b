"""What the database keeps is what the pure decisions say, whatever is loaded of it and in whatever batches."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.inventory.domain import commands as c
from services.inventory.handlers.apply import apply
from tests.inventory.conftest import Depot
from tests.inventory.shop import STORE, Shop, cause

SKUS = ("A", "B", "C", "D")
ORDERS = [f"o-{n}" for n in range(15)]
HOLDS = [f"h-{n}" for n in range(12)]
REASONS: tuple[c.AdjustmentReason, ...] = ("damaged", "lost", "found", "correction", "write_off")


def pieces(rng: random.Random, skus: Sequence[str] = SKUS) -> tuple[c.Piece, ...]:
    return tuple(c.Piece(rng.choice(skus), rng.randint(1, 6)) for _ in range(rng.randint(1, 3)))


def any_command(rng: random.Random, shop: Shop) -> c.Command:
    """A command that a busy store may see."""
    at = shop.now - timedelta(seconds=rng.choice((0, 0, 0, 20, 90)))
    order, hold, sku = rng.choice(ORDERS), rng.choice(HOLDS), rng.choice(SKUS)
    known = SKUS[:3]
    lines, place = pieces(rng), rng.choice(("main", "east"))
    condition: c.Condition = rng.choice(("resellable", "damaged"))
    makers: list[tuple[int, Any]] = [
        (
            6,
            lambda: c.Receive(STORE, cause("r", at), rng.choice(known), place, rng.randint(1, 9)),
        ),
        (
            3,
            lambda: c.Adjust(
                STORE, cause("a", at), rng.choice(known), "main", rng.choice((-7, -2, 3)), rng.choice(REASONS)
            ),
        ),
        (
            8,
            lambda: c.Reserve(
                STORE,
                cause(hold, shop.now, "reservation"),
                hold,
                pieces(rng, known),
                shop.now + timedelta(seconds=rng.choice((1, 60, 600))),
                rng.choice((None, order)),
                rng.choice((None, None, "c-1", "c-2")),
                rng.choice((None, None, "summer")),
                replaces=rng.choice((None, None, rng.choice(HOLDS))),
            ),
        ),
        (2, lambda: c.Release(STORE, cause(hold, at), hold)),
        (3, lambda: c.Allocate(STORE, cause(hold, at), hold, order)),
        (2, lambda: c.Expire(STORE, cause(hold, at), hold)),
        (5, lambda: c.AcceptOutside(STORE, cause(order, at, "order"), order, lines, f"{order}~0")),
        (4, lambda: c.Pay(STORE, cause(order, at, "order"), order, lines)),
        (2, lambda: c.Cancel(STORE, cause(order, at, "order"), order)),
        (2, lambda: c.Amend(STORE, cause(order, at, "order"), order, lines)),
        (5, lambda: c.Ship(STORE, cause("s", at, "shipment"), order, lines, "s", rng.choice((None, "east")))),
        (3, lambda: c.AwaitReturn(STORE, cause("ret", at, "return"), order, lines, "ret")),
        (
            3,
            lambda: c.TakeBack(STORE, cause("ret", at, "return"), order, lines, "ret", condition),
        ),
        (1, lambda: c.Complete(STORE, cause(order, at, "order"), order)),
        (
            2,
            lambda: c.LockStock(
                STORE, cause("summer", at), rng.choice(known), "summer", 6, shop.now, shop.now + timedelta(hours=1)
            ),
        ),
        (1, lambda: c.Unlock(STORE, cause("summer", at), sku, "summer")),
        (1, lambda: c.Describe(STORE, cause("sku", at), rng.choice(known), rng.randint(0, 5), 0)),
    ]
    (make,) = rng.choices([m for _, m in makers], weights=[w for w, _ in makers])
    command: c.Command = make()
    return command


def a_count(rng: random.Random, shop: Shop) -> c.Count:
    items = tuple(c.Counted(sku, rng.randint(0, 12)) for sku in SKUS[:3])
    as_of = shop.now - timedelta(seconds=rng.choice((0, 30)))
    return c.Count(STORE, cause("count", shop.now), f"count-{len(shop.ledger)}", "main", as_of, "erp", items)


@pytest.mark.parametrize("seed", range(8))
async def test_any_history_is_kept_as_it_was_decided(depot: Depot, seed: int) -> None:
    rng = random.Random(seed)
    shop = Shop(now=depot.now)
    prefix = f"s{seed}-"
    first = [c.Describe(STORE, cause("sku", depot.now), sku, 2, 0) for sku in SKUS[:3]]
    await _both(depot, shop, first, prefix)
    for _ in range(60):
        depot.tick(seconds=rng.choice((0, 1, 40)))
        shop.now = depot.now
        batch = [any_command(rng, shop) for _ in range(rng.randint(1, 8))]
        await _both(depot, shop, [a_count(rng, shop)] if rng.random() < 0.1 else batch, prefix)
    await _agree(depot, shop, prefix)


async def _both(depot: Depot, shop: Shop, batch: Sequence[c.Command], prefix: str) -> None:
    """Apply to the model and to the database, where SKUs, orders and all other names carry a prefix."""
    expected = shop.apply(batch)
    async with depot.runtime.worker.begin() as tx:
        outcomes = await apply([_renamed(command, prefix) for command in batch], tx)
    assert [type(o) for o in outcomes] == [type(o) for o in expected], batch


def _renamed(command: c.Command, prefix: str) -> c.Command:
    changes: dict[str, Any] = {}
    for name in ("sku", "order", "reservation_id", "replaces", "campaign", "customer_id", "count_id"):
        value = getattr(command, name, None)
        if isinstance(value, str):
            changes[name] = prefix + value
    if isinstance(getattr(command, "pieces", None), tuple):
        changes["pieces"] = tuple(c.Piece(prefix + sku, n) for sku, n in command.pieces)  # type: ignore[attr-defined]
    if isinstance(command, c.Count):
        changes["items"] = tuple(item._replace(sku=prefix + item.sku) for item in command.items)
    return replace(command, **changes)


async def _agree(depot: Depot, shop: Shop, prefix: str) -> None:
    for sku, level in shop.levels.items():
        (kept,) = await depot.sql(
            'SELECT on_hand, held, allocated, locked, short, "returning", damaged, safety, safety_hidden, is_known,'
            " version, edge FROM inventory.level WHERE store = :store AND sku = :sku",
            store=STORE,
            sku=prefix + sku,
        )
        assert kept == (*level.terms(), level.version, level.edge), sku
    for name, reservation in shop.reservations.items():
        ((status,),) = await depot.sql(
            "SELECT status FROM inventory.reservation WHERE store = :store AND reservation_id = :name",
            store=STORE,
            name=prefix + name,
        )
        assert status == reservation.status, name
    for sku in shop.levels:
        ledger = await depot.sql(
            "SELECT warehouse, kind, quantity, from_state, to_state FROM inventory.movement WHERE sku = :sku"
            " ORDER BY movement_id",
            sku=prefix + sku,
        )
        decided = [m for m in shop.ledger if m.sku == sku]
        assert ledger == [(m.warehouse, m.kind, m.quantity, m.from_state, m.to_state) for m in decided]
    assert await depot.violations() == []


async def test_a_falsified_row_is_found_and_only_that(depot: Depot) -> None:
    await depot.stocked("FALSE1", 10)
    await depot.stocked("FALSE2", 10)
    assert await depot.violations() == []
    await depot.sql("UPDATE inventory.level SET held = 1 WHERE sku = 'FALSE1'")
    found = {(v.invariant, v.subject) for v in await depot.violations()}
    assert {subject.split()[0] for _, subject in found} == {"FALSE1"}
    assert ("reserved is the sum of the open lines", "FALSE1 held") in found
    await depot.sql("UPDATE inventory.level SET held = 0 WHERE sku = 'FALSE1'")
    assert await depot.violations() == []


async def test_the_last_wall_refuses_what_no_decision_would_do(depot: Depot) -> None:
    await depot.stocked("WALL", 1)
    for change in ("held = 2", "on_hand = -1", "short = -1", """warehouses = '[{"on_hand": -1}]'"""):
        with pytest.raises(Exception, match="ck_level"):
            await depot.sql(f"UPDATE inventory.level SET {change} WHERE sku = 'WALL'")


async def test_the_ledger_is_append_only(depot: Depot) -> None:
    for change in ("UPDATE inventory.movement SET quantity = 1", "DELETE FROM inventory.movement"):
        with pytest.raises(Exception, match="permission denied"):
            await depot.sql(change)
