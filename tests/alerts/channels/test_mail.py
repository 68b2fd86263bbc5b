"""Mail, handed over to a real SMTP conversation on loopback."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

from tests.alerts.channels.test_robots import open_incident, sending
from tests.alerts.conftest import Clock, items, put, until_settled
from tests.support.desk import Desk


@dataclass
class PostOffice:
    """Takes mail as RFC 5321 says; `answers` replace what it says to DATA's end, one a mail."""

    port: int = 0
    people: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._say(writer, b"220 ready")
            while line := (await reader.readline()).strip():
                word = line[:4].upper()
                if word == b"DATA":
                    await self._say(writer, b"354 go on")
                    raw = await reader.readuntil(b"\r\n.\r\n")
                    await self._say(writer, self._take(raw[:-5]))
                elif word == b"QUIT":
                    await self._say(writer, b"221 bye")
                    break
                else:
                    self.people += [line.decode()] if word == b"RCPT" else []
                    await self._say(writer, b"250 fine")
        writer.close()

    def _take(self, raw: bytes) -> bytes:
        answer = self.answers.pop(0) if self.answers else b"250 taken"
        if answer.startswith(b"250"):
            self.mails.append(email.message_from_bytes(raw, policy=email.policy.default))
        return answer

    async def _say(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        writer.write(line + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def post_office(*answers: bytes) -> AsyncIterator[PostOffice]:
    """On a free port of loopback."""
    office = PostOffice(answers=list(answers))
    server = await asyncio.start_server(office.serve, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()


async def connect(shop: Desk, office: PostOffice) -> None:
    url = f"smtp://127.0.0.1:{office.port}?from=ops@shop.cn&to=li@shop.cn,wang@shop.cn"
    await put(shop, "/v1/channels/mail", {"kind": "mail", "url": url})


async def test_a_mail_reaches_everybody_with_a_chinese_subject_and_a_link(shop: Desk) -> None:
    async with post_office() as office:
        await connect(shop, office)
        incident = await open_incident(shop, "页面崩溃")
        async with sending(shop):
            await until_settled(shop)
    (mail,) = office.mails
    assert mail["Subject"] == "[警告] 页面崩溃"
    assert f"/incidents/{incident}" in mail.get_content()
    assert [person.split("<")[1].split(">")[0] for person in office.people] == ["li@shop.cn", "wang@shop.cn"]


async def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(shop: Desk, clock: Clock) -> None:
    async with post_office(b"451 later", b"250 taken", b"554 no") as office:
        await connect(shop, office)
        await open_incident(shop, "一")
        async with sending(shop):
            for _ in range(100):
                if not office.answers or len(office.answers) < 3:
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            clock.turn(seconds=10)
            await until_settled(shop)
            await open_incident(shop, "二")
            await until_settled(shop)
    told = await items(shop, "/v1/notifications?channel=mail")
    assert sorted((m["status"], m["attempts"], m["last_error"]) for m in told if m["about"]) == [
        ("failed", 1, "SMTP 554"),
        ("sent", 2, None),
    ]
