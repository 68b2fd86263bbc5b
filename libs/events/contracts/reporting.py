"""Events of the reporting service, on the topic `reports`."""

from typing import Annotated, Final

from pydantic import Field, Strict

from libs.events.contracts.base import Count, Event, FreeJson, Id, Label, Labels, Value, Version, Whole

MAX_CHANGED_CELLS: Final = 1_000


class ChangedCell(Value):
    """A cell that differs from the edition before."""

    path: Annotated[Label, Field(examples=["rows/0/orders"])]
    from_value: Annotated[FreeJson, Field(alias="from")] = None
    to: FreeJson = None


class ReportPublished(Event):
    """An edition of a report is out; it is never changed (RPT-7)."""

    TYPE = "report.published.v1"
    TOPIC = "reports"
    KEY = ("report_id",)

    report: Annotated[Id, Field(examples=["daily"])]
    period: Annotated[Id, Field(examples=["2024-07-01"])]
    edition: Annotated[int, Field(ge=1, le=10**9)]
    complete: bool = True
    missing: Labels = ()
    """the topics that an incomplete edition lacks"""
    changed_cells: Annotated[tuple[ChangedCell, ...], Strict(False), Field(max_length=MAX_CHANGED_CELLS)]
    """the first of them; `changed_cell_count` says how many there are"""
    changed_cell_count: Count | None = None
    log_position: Annotated[
        dict[Label, Annotated[tuple[Whole, ...], Strict(False)]], Field(examples=[{"orders": [17, 4, 0]}])
    ]
    """topic -> next offset per partition (D35)"""
    versions: Annotated[dict[Label, Version], Field(examples=[{"conversion.order_uv": 1}])] | None = None
    """definition -> version used (D31)"""
    reason: Label | None = None

    @property
    def report_id(self) -> str:
        """`daily:2024-07-01`, the key."""
        return f"{self.report}:{self.period}"
