"""From an incident to each kind of chat robot, against robots that check as the real ones do (P6)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from services.alerts.channels import dingtalk
from tests.alerts.channels.robots import DROP, PATHS, SECRET, SECRETS, Robot, errcode, robot
from tests.alerts.conftest import Clock, items, put, until_settled
from tests.support.desk import Desk

KINDS = sorted(PATHS)
SLACK = "https://hooks.slack.com/x"
SPITEFUL = "A001 @all <at id=all></at> <!channel> <@all> [x](http://evil) *夏* ### 连衣裙"


async def connect(shop: Desk, to: Robot, kind: str, name: str = "ops", **more: Any) -> None:
    setting = {"kind": kind, "url": to.url, "secret": SECRETS.get(kind, ""), "language": "zh", **more}
    await put(shop, f"/v1/channels/{name}", setting)


@asynccontextmanager
async def sending(shop: Desk) -> AsyncIterator[None]:
    """The sender's loop runs."""
    task = asyncio.ensure_future(shop.runtime.loops["sender"]())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def open_incident(shop: Desk, title: str = "页面崩溃", severity: str = "warning") -> str:
    body = {"title": title, "description": "x", "severity": severity, "about": {}}
    answer = await shop.call("POST", "/v1/incidents", json=body)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["incident_id"]
    return made


async def statuses(shop: Desk, query: str = "") -> list[str]:
    return sorted(item["status"] for item in await items(shop, f"/v1/notifications?limit=200{query}"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_robot_takes_an_incident_with_a_link_to_it(shop: Desk, kind: str) -> None:
    async with robot(kind) as ours:
        await connect(shop, ours, kind)
        incident = await open_incident(shop)
        async with sending(shop):
            (said,) = await ours.wait()
            await until_settled(shop)
    written = json.dumps(said, ensure_ascii=False)
    assert "页面崩溃" in written
    assert f"/incidents/{incident}" in written
    assert await statuses(shop) == ["sent"]


MARKUP: dict[str, Callable[[Any], str]] = {
    "dingtalk": lambda said: said["actionCard"]["text"],
    "feishu": lambda said: said["card"]["elements"][0]["text"]["content"],
    "wecom": lambda said: said["markdown"]["content"],
    "slack": lambda said: said["blocks"][0]["text"]["text"],
    "teams": lambda said: said["attachments"][0]["content"]["body"][0]["text"],
}
"""The part of a message in which markup means something."""
CALLS = {"dingtalk": "@", "feishu": "<at", "wecom": "<@", "slack": "<!", "teams": "<at"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_from_outside_calls_nobody_and_forges_nothing(shop: Desk, kind: str) -> None:
    async with robot(kind) as ours:
        await connect(shop, ours, kind)
        await open_incident(shop, SPITEFUL)
        async with sending(shop):
            (said,) = await ours.wait()
    written = MARKUP[kind](said)
    assert CALLS[kind] not in written
    assert kind == "slack" or "[x](http" not in written
    assert "at" not in said


@pytest.mark.parametrize("kind", KINDS)
async def test_a_long_text_is_cut_to_what_the_robot_takes(shop: Desk, kind: str) -> None:
    async with robot(kind) as ours:
        await connect(shop, ours, kind)
        for number in range(60):
            await open_incident(shop, f"{number} {'连衣裙' * 60}")
        async with sending(shop):
            (said, *_) = await ours.wait()
    assert "条" in json.dumps(said, ensure_ascii=False)


async def test_over_the_limit_a_digest_carries_what_waits_and_nothing_is_lost(shop: Desk) -> None:
    async with robot("dingtalk") as ours:
        await connect(shop, ours, "dingtalk")
        for number in range(30):
            await open_incident(shop, f"第 {number} 件")
        async with sending(shop):
            (digest,) = await ours.wait()
            await until_settled(shop)
    assert len(ours.heard) == 1
    text = digest["actionCard"]["text"]
    assert all(f"第 {number} 件" in text for number in range(30))
    assert await statuses(shop) == ["folded"] * 29 + ["sent"]
    reasons = {item["reason"] for item in await items(shop, "/v1/notifications?status=folded&limit=100")}
    assert len(reasons) == 1
    assert reasons.pop().startswith("digest nt_")


async def test_a_robot_is_told_at_most_twenty_times_a_minute(shop: Desk, clock: Clock) -> None:
    async with robot("dingtalk") as ours:
        await connect(shop, ours, "dingtalk")
        async with sending(shop):
            for number in range(dingtalk.LIMIT.burst + 3):
                await open_incident(shop, f"第 {number} 件")
                await asyncio.sleep(0.1)
            await ours.wait(dingtalk.LIMIT.burst)
            await asyncio.sleep(0.3)
            assert len(ours.heard) == dingtalk.LIMIT.burst
            clock.turn(seconds=4)
            await ours.wait(dingtalk.LIMIT.burst + 1)
    assert "3 条消息" in ours.heard[-1]["actionCard"]["title"]


@pytest.mark.parametrize(
    ("kind", "lie"),
    [
        ("dingtalk", errcode(310000)),
        ("wecom", errcode(93000)),
        ("feishu", (200, {}, b'{"code":19021,"msg":"sign match fail"}')),
        ("slack", (404, {}, b"no_service")),
        ("teams", (400, {}, b"")),
    ],
)
async def test_an_error_code_under_http_200_is_no_success(shop: Desk, kind: str, lie: Any) -> None:
    async with robot(kind) as ours:
        ours.moods = [lie]
        await connect(shop, ours, kind)
        await open_incident(shop)
        async with sending(shop):
            await until_settled(shop)
    (message, *_) = await items(shop, "/v1/notifications?status=failed")
    assert message["attempts"] == 1
    assert message["last_error"]


async def until_asked(ours: Robot) -> None:
    for _ in range(400):
        if ours.asked:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody called")


@pytest.mark.parametrize("trouble", [DROP, (503, {}, b""), (200, {}, b"<html>"), errcode(-1)], ids=str)
async def test_trouble_that_passes_is_tried_again_and_counted(shop: Desk, clock: Clock, trouble: Any) -> None:
    async with robot("dingtalk") as ours:
        ours.moods = [trouble]
        await connect(shop, ours, "dingtalk")
        await open_incident(shop)
        async with sending(shop):
            await until_asked(ours)
            await asyncio.sleep(0.2)
            assert ours.heard == []
            clock.turn(seconds=10)
            await ours.wait()
            await until_settled(shop)
    (message,) = await items(shop, "/v1/notifications")
    assert (message["status"], message["attempts"]) == ("sent", 2)


async def test_too_fast_leaves_the_robot_alone_for_ten_minutes_for_all_channels_to_it(shop: Desk, clock: Clock) -> None:
    async with robot("dingtalk") as ours:
        ours.moods = [errcode(130101)]
        await connect(shop, ours, "dingtalk")
        await open_incident(shop)
        async with sending(shop):
            await until_asked(ours)
            await asyncio.sleep(0.2)
            await connect(shop, ours, "dingtalk", name="second")
            await open_incident(shop, "另一件")
            clock.turn(minutes=9)
            await asyncio.sleep(0.3)
            assert ours.asked == 1
            clock.turn(minutes=6)
            await ours.wait(2)


async def test_a_target_that_takes_nothing_is_an_incident_told_elsewhere_until_it_does(
    shop: Desk, clock: Clock
) -> None:
    async with robot("feishu") as bad, robot("slack") as good:
        bad.moods = [(200, {}, b'{"code":19024,"msg":"keyword"}')]
        await connect(shop, bad, "feishu", name="bad", routes=[{"rules": ["manual", "delivery_failing"]}])
        await connect(shop, good, "slack", name="good", routes=[{"rules": ["delivery_failing"]}])
        await open_incident(shop)
        async with sending(shop):
            (said,) = await good.wait()
            assert "bad" in said["text"]
            await open_incident(shop, "第二件")
            await bad.wait()
            clock.turn(seconds=5)
            await good.wait(2)
    (incident,) = await items(shop, "/v1/incidents?rule=delivery_failing")
    assert incident["about"] == {"channel": "bad"}
    assert incident["recovered_at"]
    assert len(bad.heard) == 1


async def test_mentioned_people_are_called(shop: Desk) -> None:
    async with robot("dingtalk") as ding, robot("wecom") as we:
        await connect(shop, ding, "dingtalk", name="ding", mention=["13800000000"])
        await connect(shop, we, "wecom", name="we", mention=["13800000000"])
        await open_incident(shop)
        async with sending(shop):
            (card,) = await ding.wait()
            (text,) = await we.wait()
    assert card["at"] == {"atMobiles": ["13800000000"], "isAtAll": False}
    assert "@13800000000" in card["markdown"]["text"]
    assert text["text"]["mentioned_mobile_list"] == ["13800000000"]


async def test_quiet_hours_hold_back_all_but_the_critical_until_they_end(shop: Desk, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=15, minute=0, second=0)  # 23:00 in Shanghai
    async with robot("teams") as ours:
        await connect(shop, ours, "teams", quiet={"from": "22:00", "to": "08:00"})
        await open_incident(shop, "可以等")
        await open_incident(shop, "不能等", "critical")
        async with sending(shop):
            (said,) = await ours.wait()
            assert "不能等" in json.dumps(said, ensure_ascii=False)
            await asyncio.sleep(0.2)
            assert await statuses(shop) == ["quiet", "sent"]
            clock.turn(hours=9)
            assert "可以等" in json.dumps((await ours.wait(2))[1], ensure_ascii=False)


async def test_the_choice_of_every_channel_is_explained(shop: Desk, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=4, minute=0, second=0)  # 12:00 in Shanghai
    async with robot("slack") as ours:
        for name, route in {
            "all": {},
            "critical": {"severity": "critical"},
            "stock": {"rules": ["low_stock"]},
            "night": {"hours": [["20:00", "08:00"]]},
        }.items():
            await connect(shop, ours, "slack", name=name, routes=[route])
        await connect(shop, ours, "slack", name="off", enabled=False)
        incident = await open_incident(shop)
    why = await items(shop, f"/v1/incidents/{incident}/notifications")
    assert {item["channel"]: item["choice"] for item in why} == {
        "all": "told", "critical": "severity", "stock": "rule", "night": "hours", "off": "disabled",
    }  # fmt: skip
    assert [len(item["notifications"]) for item in why if item["channel"] == "all"] == [1]


async def test_the_test_button_shows_request_and_answer_without_a_secret(shop: Desk) -> None:
    async with robot("feishu") as ours:
        await connect(shop, ours, "feishu")
        good = (await shop.call("POST", "/v1/channels/ops/test")).json()
        ours.moods = [(200, {}, b'{"code":19022,"msg":"ip"}')]
        bad = (await shop.call("POST", "/v1/channels/ops/test")).json()
    assert good["answer"]["result"] == "sent"
    assert good["request"]["body"]["sign"] == "***"
    assert good["request"]["body"]["card"]["header"]["title"]["content"].startswith("测试消息")
    assert (bad["answer"]["result"], bad["answer"]["status"]) == ("refused", 200)
    assert "IP" in bad["answer"]["detail"]
    assert SECRET not in json.dumps([good, bad])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "slack", "url": "https://example.com/x"}, "/url"),
        ({"kind": "slack", "url": "https://hooks.slack.com.evil.com/x"}, "/url"),
        ({"kind": "teams", "url": "https://logic.azure.com/x"}, "/url"),
        ({"kind": "dingtalk", "url": "https://oapi.dingtalk.com:99999/x"}, "/url"),
        ({"kind": "wecom", "url": "https://qyapi.weixin.qq.com/x", "secret": "s"}, "/secret"),
        ({"kind": "mail", "url": "smtp://127.0.0.1:25?from=a@b.cn"}, "/url"),
        ({"kind": "mail", "url": "smtp://127.0.0.1:25?from=a@b.cn&to=x"}, "/url"),
        ({"kind": "mail", "url": "smtp://mail.example.com?from=a@b.cn&to=c@d.cn"}, "/url"),
        ({"kind": "slack", "url": "https://hooks.slack.com/x", "format": "alertmanager"}, "/format"),
        (
            {"kind": "slack", "url": "https://hooks.slack.com/x", "quiet": {"from": "8:00", "to": "09:00"}},
            "/quiet/from",
        ),
        ({"kind": "pager", "url": "https://hooks.slack.com/x"}, "/kind"),
    ],
)
async def test_a_channel_that_cannot_be_is_refused_by_field(shop: Desk, change: dict[str, Any], pointer: str) -> None:
    answer = await shop.call("PUT", "/v1/channels/ops", json=change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_teams_address_of_any_region_is_its_own_host(shop: Desk) -> None:
    url = "https://prod-12.westeurope.logic.azure.com/workflows/W"
    shown = await put(shop, "/v1/channels/ops", {"kind": "teams", "url": url})
    assert shown["url"] == "https://prod-12.westeurope.logic.azure.com/***"
