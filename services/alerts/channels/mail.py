"""Mail by SMTP: `smtp://HOST:587?from=ops@shop.cn&to=li@shop.cn,wang@shop.cn`, `smtps://` for TLS from the start."""

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from libs.service.errors import Validation, fault
from services.alerts.channels.base import Notification, Outcome, Request, Result
from services.alerts.channels.wording import cut, message_of
from services.alerts.store.ledger import Channel

SUBJECT_BYTES = 200
SCHEMES = ("smtp", "smtps")
PORTS = {"smtp": 587, "smtps": 465}


def check_url(url: str) -> None:
    """Raises Validation for an address that names no sender or nobody to send to."""
    asked = parse_qs(urlsplit(url).query)
    for name in ("from", "to"):
        if not _people(asked.get(name, [])):
            raise _bad(f"names {name}= with at least one mail address")


def _bad(message: str) -> Validation:
    return Validation(f"url: {message}", errors=[fault("/url", "url", message)])


def _people(values: list[str]) -> list[str]:
    people = [person.strip() for value in values for person in value.split(",") if person.strip()]
    try:
        return [Address(addr_spec=person).addr_spec for person in people]
    except (ValueError, HeaderParseError, IndexError):
        raise _bad("a mail address is not one") from None


def check_secret(secret: str) -> None:
    """Raises Validation for what is neither empty nor USER:PASSWORD."""
    if secret and not all(secret.partition(":")):
        message = "USER:PASSWORD, or nothing where the server asks for none"
        raise Validation(f"secret: {message}", errors=[fault("/secret", "secret", message)])


def render(channel: Channel, notification: Notification, now: datetime) -> Request:
    """The mail, whole, as bytes."""
    message = message_of(notification, channel.language)
    asked = parse_qs(urlsplit(channel.url).query)
    mail = EmailMessage()
    mail["Subject"] = cut(message.title, SUBJECT_BYTES)
    mail["From"] = _people(asked.get("from", []))[0]
    mail["To"] = ", ".join(_people(asked.get("to", [])))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{notification.notification_id}@opswire>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([message.title, "", *message.lines, "", message.link, ""]))
    return Request(channel.url, {"authorization": channel.secret}, mail.as_bytes())


async def send(request: Request, address: str, timeout_seconds: float) -> Outcome:
    """Hand the mail over to the server at the checked address."""
    return await asyncio.to_thread(_send, request, address, timeout_seconds)


def _send(request: Request, address: str, timeout_seconds: float) -> Outcome:
    parts = urlsplit(request.url)
    asked = parse_qs(parts.query)
    sender, people = _people(asked["from"])[0], _people(asked["to"])
    try:
        with _connected(parts.scheme, parts.hostname or "", address, parts.port, timeout_seconds) as server:
            user, _, password = request.headers["authorization"].partition(":")
            if user:
                server.login(user, password)
            refused = server.sendmail(sender, people, request.body)
    except smtplib.SMTPResponseException as error:
        return Outcome(Result.REFUSED if error.smtp_code >= 500 else Result.AGAIN, f"SMTP {error.smtp_code}")
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        return Outcome(Result.REFUSED if min(codes) >= 500 else Result.AGAIN, "nobody it was sent to is taken")
    except smtplib.SMTPException as error:
        return Outcome(Result.AGAIN, type(error).__name__)
    return Outcome(Result.SENT, f"{len(refused)} of {len(people)} refused" if refused else "")


def _connected(scheme: str, host: str, address: str, port: int | None, timeout: float) -> smtplib.SMTP:
    """To the checked address, under the server's own name, which its certificate must show."""
    context = ssl.create_default_context()
    server = smtplib.SMTP_SSL(timeout=timeout, context=context) if scheme == "smtps" else smtplib.SMTP(timeout=timeout)
    server._host = host  # type: ignore[attr-defined]  # smtplib knows no other way to pin the address
    server.connect(address, port or PORTS[scheme])
    server.ehlo()
    if scheme == "smtp" and server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
    return server


def classify(_status: int, _body: bytes, _headers: Mapping[str, str]) -> Outcome:
    """Never asked: SMTP says what became of a mail itself."""
    raise NotImplementedError("mail is not sent over HTTP")
