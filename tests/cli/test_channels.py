"""`opswire channels`: the list, and a test message with what became of it."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.command import Done, opswire
from tests.support.fixtures import Running
from tests.support.webhooks import SECRET, signed_target


async def test_a_channel_is_tried_from_the_command_line(running: Running, database: str, tmp_path: Path) -> None:
    async with running("alerts", OPSWIRE_WEBHOOK_ALLOW="127.0.0.1") as platform, signed_target() as target:
        settings: dict[str, Any] = {
            "OPSWIRE_ALERTS_URL": platform.topology.url("alerts"), "OPSWIRE_DATABASE_URL": database,
        }  # fmt: skip

        async def run(*arguments: str) -> Done:
            call = partial(opswire, "channels", *arguments, "--store", "demo", cwd=tmp_path, **settings)
            return await asyncio.to_thread(call)

        client = platform.client("alerts")
        for name, url in (("ops", target.url), ("dead", "http://127.0.0.1:9/x")):
            hook = {"kind": "webhook", "url": url, "secret": SECRET}
            assert (await client.put(f"/v1/channels/{name}?store=demo", json=hook)).status_code == 200
        listed = (await run("list", "--json")).good().json["items"]
        assert [item["name"] for item in listed] == ["dead", "ops"]
        good = (await run("test", "ops")).good()
        assert "sent" in good.out
        assert SECRET not in good.out
        assert [arrival.body["type"] for arrival in target.arrivals] == ["test"]
        assert (await run("test", "dead")).code == 1
        missing = await run("test", "nobody")
        assert (missing.code, "no such channel" in missing.err) == (1, True)
