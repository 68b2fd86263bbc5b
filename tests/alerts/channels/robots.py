"""Fake chat servers that check what the real ones check: signature and size; and lie, drop and refuse on demand."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SEC0123456789abcdef"
Answer = tuple[int, dict[str, str], bytes]
DROP: Answer = (0, {}, b"")


@dataclass
class Robot:
    """One robot. `moods` are played before it behaves: each takes one call. `heard`: what it took, in order."""

    check: Callable[[str, dict[str, str], bytes], Answer]
    url: str = ""
    heard: list[Any] = field(default_factory=list)
    asked: int = 0
    moods: list[Answer] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            target, headers, body = await _request(reader)
            status, more, said = self._answer(target, headers, body)
            if status:
                lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                head = f"HTTP/1.1 {status} Said\r\ncontent-length: {len(said)}\r\n{lines}connection: close\r\n\r\n"
                writer.write(head.encode() + said)
                await writer.drain()
        writer.close()

    def _answer(self, target: str, headers: dict[str, str], body: bytes) -> Answer:
        self.asked += 1
        if self.moods:
            return self.moods.pop(0)
        answer = self.check(target, headers, body)
        if answer[0] == 200 and answer[2] in (OK_ERRCODE, OK_CODE, b"ok", b"1"):
            self.heard.append(json.loads(body))
        return answer

    async def wait(self, messages: int = 1) -> list[Any]:
        """Until so many were taken."""
        for _ in range(600):
            if len(self.heard) >= messages:
                return self.heard
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(self.heard)} of {messages} messages were taken, {self.asked} calls made")


OK_ERRCODE, OK_CODE = b'{"errcode":0,"errmsg":"ok"}', b'{"code":0,"msg":"success"}'


def errcode(code: int) -> Answer:
    """HTTP 200 all the same."""
    return 200, {}, json.dumps({"errcode": code, "errmsg": "no"}).encode()


def dingtalk(target: str, _headers: dict[str, str], body: bytes) -> Answer:
    """Signature in the query, about 20,000 bytes, known message types."""
    asked = parse_qs(urlsplit(target).query, keep_blank_values=True)
    stamp, sign = asked.get("timestamp", [""])[0], asked.get("sign", [""])[0]
    wanted = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
    if asked.get("access_token") != ["T"] or sign != base64.b64encode(wanted).decode() or not stamp.isdigit():
        return errcode(310000)
    if len(body) > 20_000 or json.loads(body)["msgtype"] not in ("text", "markdown", "actionCard"):
        return errcode(40035)
    return 200, {}, OK_ERRCODE


def feishu(_target: str, _headers: dict[str, str], body: bytes) -> Answer:
    """Signature in the body, 20 KB."""
    said = json.loads(body)
    wanted = hmac.new(f"{said.get('timestamp')}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
    if said.get("sign") != base64.b64encode(wanted).decode():
        return 200, {}, b'{"code":19021,"msg":"sign match fail"}'
    if len(body) > 20 * 1024 or said["msg_type"] not in ("text", "post", "interactive"):
        return 200, {}, b'{"code":9499,"msg":"Bad Request"}'
    return 200, {}, OK_CODE


def wecom(target: str, _headers: dict[str, str], body: bytes) -> Answer:
    """The key, 4096 bytes of markdown, 2048 of text."""
    said = json.loads(body)
    if parse_qs(urlsplit(target).query).get("key") != ["K"]:
        return errcode(93000)
    limit = {"text": 2048, "markdown": 4096}[said["msgtype"]]
    if len(said[said["msgtype"]]["content"].encode()) > limit:
        return errcode(40058)
    return 200, {}, OK_ERRCODE


def slack(_target: str, _headers: dict[str, str], body: bytes) -> Answer:
    """3,000 characters a section."""
    said = json.loads(body)
    texts = [block["text"]["text"] for block in said["blocks"] if block["type"] == "section"]
    return (200, {}, b"ok") if said["text"] and all(len(t) <= 3000 for t in texts) else (400, {}, b"invalid_payload")


def teams(_target: str, _headers: dict[str, str], body: bytes) -> Answer:
    """About 28 KB, an adaptive card."""
    said = json.loads(body)
    card = said["attachments"][0]["content"]
    good = len(body) <= 28_000 and (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    return (200, {}, b"1") if good else (400, {}, b"")


ROBOTS = {"dingtalk": dingtalk, "feishu": feishu, "wecom": wecom, "slack": slack, "teams": teams}
PATHS = {
    "dingtalk": "/robot/send?access_token=T",
    "feishu": "/open-apis/bot/v2/hook/H",
    "wecom": "/cgi-bin/webhook/send?key=K",
    "slack": "/services/T/B/X",
    "teams": "/workflows/W",
}
SECRETS = {"dingtalk": SECRET, "feishu": SECRET}


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return first.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def robot(kind: str) -> AsyncIterator[Robot]:
    """A robot of that kind on a free port of loopback."""
    made = Robot(ROBOTS[kind])
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATHS[kind]}"
    try:
        yield made
    finally:
        server.close()
