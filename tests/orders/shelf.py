"""Inventory as orders sees it, in memory: for tests of what orders does when stock is short, late or away."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from libs.service.errors import Conflict, OutOfStock, Overloaded, Validation, fault
from services.orders.domain.state import Units, sum_units
from services.orders.stock import HoldRequest, Reservation


@dataclass
class Kept:
    """A reservation and what it keeps."""

    lines: tuple[Units, ...]
    reservation: Reservation
    refused: OutOfStock | None = None


@dataclass
class Shelf:
    """A stock of some SKUs. `is_away` makes it answer nothing; `calls` is what it was asked."""

    units: dict[str, int]
    now: datetime
    kept: dict[str, Kept] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    is_away: bool = False

    async def hold(self, store: str, request: HoldRequest) -> Reservation:
        self._called(f"hold {request.reservation_id}")
        known = self.kept.get(request.reservation_id)
        if known is not None:
            return self._again(known, request)
        self._refuse_unknown(request)
        if request.replaces is not None:
            await self.release(store, request.replaces)
        short = self._short(request)
        status = "allocated" if request.allocate else "held"
        expires_at = None if request.allocate else self.now + timedelta(seconds=request.ttl_seconds)
        made = Reservation(request.reservation_id, status, expires_at, is_short=bool(short))  # type: ignore[arg-type]
        if short and not request.backorder:
            refused = _refusal(short)
            self.kept[request.reservation_id] = Kept(request.lines, made, refused)
            raise refused
        if not short:
            self._take(request.lines, 1)
        self.kept[request.reservation_id] = Kept(request.lines, made)
        return made

    async def allocate(self, store: str, reservation_id: str, order_id: str) -> Reservation:
        self._called(f"allocate {reservation_id}")
        kept = self.kept[reservation_id]
        if kept.reservation.status == "held":
            kept.reservation = replace(kept.reservation, status="allocated", expires_at=None)
        return kept.reservation

    async def release(self, store: str, reservation_id: str) -> None:
        self._called(f"release {reservation_id}")
        kept = self.kept[reservation_id]
        if kept.reservation.status in ("held", "allocated"):
            self._take(kept.lines, -1)
            kept.reservation = replace(kept.reservation, status="released")

    def expire(self, reservation_id: str) -> None:
        """Let a hold run out."""
        kept = self.kept[reservation_id]
        self._take(kept.lines, -1)
        kept.reservation = replace(kept.reservation, status="expired")

    def fill(self, reservation_id: str) -> None:
        """Give a backorder what it waits for."""
        kept = self.kept[reservation_id]
        self._take(kept.lines, 1)
        kept.reservation = replace(kept.reservation, is_short=False)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.is_away:
            raise Overloaded("nobody knows")

    def _again(self, known: Kept, request: HoldRequest) -> Reservation:
        if sum_units(known.lines) != sum_units(request.lines):
            raise Conflict("other lines")
        if known.refused is not None:
            raise known.refused
        return known.reservation

    def _refuse_unknown(self, request: HoldRequest) -> None:
        errors = [
            fault(f"/lines/{n}/sku", "sku_unknown", f"no SKU {line.sku}")
            for n, line in enumerate(request.lines)
            if line.sku not in self.units
        ]
        if errors:
            raise Validation("a SKU is not in the catalogue", errors=errors)

    def _short(self, request: HoldRequest) -> dict[str, tuple[int, int, int]]:
        wanted = sum_units(request.lines)
        places = {line.sku: n for n, line in reversed(list(enumerate(request.lines)))}
        return {s: (places[s], n, self.units[s]) for s, n in wanted.items() if n > self.units[s]}

    def _take(self, lines: tuple[Units, ...], sign: int) -> None:
        for line in lines:
            self.units[line.sku] -= sign * line.quantity


def _refusal(short: dict[str, tuple[int, int, int]]) -> OutOfStock:
    return OutOfStock(
        "short",
        errors=[
            fault(f"/lines/{n}/quantity", "short", f"wanted {w}", sku=sku, wanted=w, available=a)
            for sku, (n, w, a) in short.items()
        ],
    )
