"""Orders as far as rules follow them."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert

from libs.events.transaction import Transaction
from services.alerts.domain.orders import Followed
from services.alerts.tables import ORDER_SEEN

Key = tuple[str, str]
"""(store, order)"""


async def load_orders(keys: Collection[Key], tx: Transaction) -> dict[Key, Followed]:
    """What is known of these orders."""
    if not keys:
        return {}
    place = tuple_(ORDER_SEEN.c.store, ORDER_SEEN.c.order_id)
    rows = await tx.session.execute(
        select(ORDER_SEEN.c.store, ORDER_SEEN.c.order_id, ORDER_SEEN.c.state).where(place.in_(sorted(keys)))
    )
    return {(row.store, row.order_id): Followed(**row.state) for row in rows}


async def save_orders(orders: Mapping[Key, Followed], seen_at: datetime, tx: Transaction) -> None:
    """Write what is known of them now."""
    statement = insert(ORDER_SEEN)
    rows = [
        {"store": store, "order_id": order_id, "seen_at": seen_at, "state": asdict(orders[store, order_id])}
        for store, order_id in sorted(orders)
    ]
    if rows:
        await tx.session.execute(
            statement.on_conflict_do_update(
                index_elements=["store", "order_id"],
                set_={"state": statement.excluded.state, "seen_at": statement.excluded.seen_at},
            ),
            rows,
        )
