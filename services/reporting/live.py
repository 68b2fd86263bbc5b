"""Periods that are not published yet, read live from kpi over HTTP with the rights of the user who asks (D50)."""

import asyncio
from typing import Any

import httpx2

from libs.service.errors import Forbidden, Overloaded
from services.reporting.domain import Day
from services.reporting.periods import Period
from services.reporting.reports import Report, measures_of

TIMEOUT_SECONDS = 5.0
AT_ONCE = 8


class Kpi:
    """Reads measures of one period from the kpi service."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS)
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def day(self, report: Report, period: Period, *, of: str, authorization: str) -> Day:
        """What kpi knows of the period now. Raises Forbidden (the key may not), Overloaded (kpi is away)."""
        names = sorted(measures_of(report))
        answers = await asyncio.gather(
            self._series("uv", period, of, authorization, by="channel"),
            *(self._series(name, period, of, authorization) for name in names),
        )
        total = {name: series[0]["numerator"] or 0 for name, series in zip(names, answers[1:], strict=True) if series}
        channels = {entry["dimensions"]["channel"]: {"uv": entry["numerator"] or 0} for entry in answers[0]}
        return Day(period.first, total, channels, complete=False)

    async def _series(
        self, kpi: str, period: Period, of: str, authorization: str, *, by: str | None = None
    ) -> list[dict[str, Any]]:
        span = {"from": period.first.isoformat(), "to": period.first.isoformat(), "grain": period.grain, "store": of}
        async with self._gate:
            try:
                answer = await self._client.get(
                    f"/v1/kpis/{kpi}",
                    params={**span, **({"by": by} if by else {})},
                    headers={"authorization": authorization},
                )
            except httpx2.HTTPError as error:
                raise Overloaded("kpi cannot be reached: unfinished periods are read from it") from error
        if answer.status_code in (401, 403):
            raise Forbidden("reading an unfinished period needs kpi:read")
        if answer.status_code != 200:
            raise Overloaded(f"kpi answered {answer.status_code}")
        series: list[dict[str, Any]] = answer.json()["series"]
        return series
