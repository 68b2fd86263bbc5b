"""Decoding one event on one core: the pydantic contract, the exact struct of the front door, the lean struct.

Single-threaded and without any waiting, so processor time is what is counted; neighbours on the machine cost little.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import process_time

import msgspec

from bench.claims import Claim, Outcome, claim_of
from bench.rounds import Contender, Sample, interleave
from bench.samples import envelope_of, order, page_view, record_of
from bench.stage import Stage
from libs.events.bus import Record
from libs.events.codec import data_json, from_record, to_message
from libs.events.contracts.base import Event
from libs.events.exact import NotDerivable, exact
from libs.events.lean import decoder
from services.kpi.records import read_record

SECONDS = 0.25
CHUNK = 1_000

ORDER_FIELDS = ("order_id", "customer_id", "origin", "channel", "visitor_id", "currency", "total_cents")
VIEW_FIELDS = ("visitor_id", "page_kind", "sku", "channel")


async def measure(stage: Stage) -> Outcome:
    """Needs nothing but this process."""
    return Outcome(
        (
            await data_claim("order of 4 lines", order(), ORDER_FIELDS, stage.rounds),
            await data_claim("page view", page_view(), VIEW_FIELDS, stage.rounds),
            await record_claim("order of 4 lines", order(), from_record, stage.rounds),
            await record_claim("page view", page_view(), read_record, stage.rounds),
        )
    )


async def data_claim(name: str, event: Event, fields: Sequence[str], count: int) -> Claim:
    """The JSON of `data` alone."""
    raw = data_json(event)
    contract = type(event)
    contenders = {
        f"lean struct of {len(fields)} fields": timed(decoder(contract, *fields).decode, raw),
        "lean struct, all fields": timed(decoder(contract).decode, raw),
        "pydantic contract": timed(contract.model_validate_json, raw),
        "msgspec to dict, no checks": timed(msgspec.json.decode, raw),
        "json.loads, no checks": timed(json.loads, raw),
    }
    with suppress(NotDerivable):  # the front door of traffic alone needs it
        contenders["exact struct, all checks"] = timed(msgspec.json.Decoder(exact(contract)).decode, raw)
    rounds = await interleave(contenders, count)
    return claim_of(f"{name}, {len(raw)} bytes", "events/s", "per_second", rounds)


async def record_claim(name: str, event: Event, read: Callable[[Record], object], count: int) -> Claim:
    """A whole record, headers too: as its consumer reads it, as every consumer can, and the contract's data alone."""
    message = to_message(envelope_of(event))  # type: ignore[arg-type]
    record = record_of(message)
    contenders = {"its consumer": timed(read, record)} if read is not from_record else {}
    contenders |= {
        "from_record": timed(from_record, record),
        "pydantic contract, data alone": timed(type(event).model_validate_json, message.value),
    }
    rounds = await interleave(contenders, count)
    return claim_of(f"{name}: record to envelope", "events/s", "per_second", rounds)


def timed(decode: Callable[..., object], raw: object) -> Contender:
    """A contender that decodes the same again and again."""
    return partial(_decode_for_a_while, decode, raw)


async def _decode_for_a_while(decode: Callable[[object], object], raw: object) -> Sample:
    count, began = 0, process_time()
    ends = began + SECONDS
    while process_time() < ends:
        for _ in range(CHUNK):
            decode(raw)
        count += CHUNK
    await asyncio.sleep(0)
    return {"per_second": count / (process_time() - began)}
