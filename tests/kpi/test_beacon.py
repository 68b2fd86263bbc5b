"""The beacon in a real browser: another origin, no cookies, kept promises to those who ask not to be tracked."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.kpi.conftest import KpiService

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")


@dataclass
class Shop:
    """A page of a shop with the beacon in it, a browser, and the service that the beacon talks to."""

    kpi: KpiService
    browser: Browser
    url: str

    @asynccontextmanager
    async def page(self, init: str = "", **options: Any) -> AsyncIterator[tuple[Page, BrowserContext]]:
        """A fresh browser profile with a blank page."""
        context = await self.browser.new_context(**options)
        if init:
            await context.add_init_script(init)
        yield await context.new_page(), context
        await context.close()

    async def events_of(self, visitor: str, count: int) -> list[Any]:
        """This visitor's events, waited for until there are `count`."""
        for _ in range(100):
            events = [event for event in await self.kpi.events("traffic") if event.subject == visitor]
            if len(events) >= count:
                return events
            await asyncio.sleep(0.05)
        raise AssertionError(f"{len(events)} events of {visitor}, not {count}")


@contextmanager
def port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number: int = listener.getsockname()[1]
    yield number


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    with port() as number:
        server = uvicorn.Server(uvicorn.Config(app, port=number, lifespan="off", log_level="error", ws="none"))
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{number}"
        server.should_exit = True
        await task


def page_with(script: str, key: str) -> Any:
    html = f"""<!doctype html><title>shop</title><body>
    <script defer src="{script}" data-key="{key}" data-page-kind="product" data-sku="A001"></script>"""

    async def show(_: object) -> HTMLResponse:
        return HTMLResponse(html)

    return Starlette(routes=[Route("/{path:path}", show)])


@pytest.fixture(scope="module")
async def shop(kpi: KpiService) -> AsyncIterator[Shop]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        async with served(kpi.app) as service:
            async with served(page_with(f"{service}/v1/collect.js", kpi.keys["public"])) as url:
                yield Shop(kpi, browser, url)
        await browser.close()


async def visitor_of(page: Page) -> str:
    visitor: str = await page.evaluate("localStorage.getItem('opswire')")
    return visitor


async def test_a_page_view_with_its_touch_arrives_from_another_origin(shop: Shop) -> None:
    async with shop.page() as (page, context):
        await page.goto(f"{shop.url}/p/A001?utm_medium=cpc&utm_source=douyin&utm_campaign=summer&phone=13800005678")
        await page.evaluate("opswire.flush()")
        (event,) = await shop.events_of(await visitor_of(page), 1)
        assert await context.cookies() == []
    data = event.data
    assert (event.type, data.url_path, data.page_kind, data.sku) == ("page.viewed.v1", "/p/A001", "product", "A001")
    assert (data.channel, data.source, data.campaign) == ("paid", "douyin", "summer")


async def test_what_a_visitor_does_is_sent_together(shop: Shop) -> None:
    async with shop.page() as (page, _):
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if "/v1/collect?" in request.url else None)
        await page.goto(f"{shop.url}/p/A001")
        await page.evaluate(
            "opswire.cart('A001'); opswire.favorite('A001'); opswire.uncart('A001');"
            "opswire.checkout([{sku: 'A001', quantity: 2}]); opswire.flush()"
        )
        events = await shop.events_of(await visitor_of(page), 5)
        assert len(sent) == 1
    assert [event.type for event in sorted(events, key=lambda event: (event.time, event.type))].count(
        "cart.added.v1"
    ) == 1
    assert {event.type for event in events} == {
        "page.viewed.v1",
        "cart.added.v1",
        "cart.removed.v1",
        "product.favorited.v1",
        "checkout.started.v1",
    }
    assert all(event.data.channel == "direct" for event in events)


async def test_what_waits_survives_leaving_the_page(shop: Shop) -> None:
    async with shop.page() as (page, _):
        await page.goto(f"{shop.url}/p/A001")
        visitor = await visitor_of(page)
        await page.evaluate("opswire.cart('A001')")
        await page.goto("about:blank")
        assert {event.type for event in await shop.events_of(visitor, 2)} == {"page.viewed.v1", "cart.added.v1"}


async def test_a_visitor_who_comes_again_is_the_same_and_his_inner_pages_are_no_new_touch(shop: Shop) -> None:
    async with shop.page() as (page, _):
        await page.goto(f"{shop.url}/")
        await page.evaluate("location.href = '/p/A001'")
        await page.wait_for_url("**/p/A001")
        await page.evaluate("opswire.flush()")
        events = await shop.events_of(await visitor_of(page), 2)
    assert {event.data.url_path: event.data.channel for event in events} == {"/": "direct", "/p/A001": None}
    assert len({event.data.session_id for event in events}) == 1


@pytest.mark.parametrize("wish", ["doNotTrack", "globalPrivacyControl"])
async def test_who_does_not_want_to_be_tracked_is_not(shop: Shop, wish: str) -> None:
    init = f"Object.defineProperty(navigator, '{wish}', {{get: () => {'1' if wish == 'doNotTrack' else 'true'}}})"
    async with shop.page(init) as (page, context):
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if "/v1/collect?" in request.url else None)
        await page.goto(f"{shop.url}/p/A001")
        await page.evaluate("opswire.cart('A001'); opswire.flush()")
        assert await page.evaluate("localStorage.getItem('opswire')") is None
        await page.goto("about:blank")
        assert await context.cookies() == []
    assert sent == []


async def test_a_browser_without_storage_is_counted_all_the_same(shop: Shop) -> None:
    init = "Object.defineProperty(window, 'localStorage', {get: () => { throw new Error('denied') }})"
    before = len(await shop.kpi.events("traffic"))
    async with shop.page(init) as (page, _):
        await page.goto(f"{shop.url}/p/A001")
        await page.evaluate("opswire.flush()")
        for _ in range(100):
            if len(await shop.kpi.events("traffic")) > before:
                break
            await asyncio.sleep(0.05)
    assert len(await shop.kpi.events("traffic")) == before + 1
