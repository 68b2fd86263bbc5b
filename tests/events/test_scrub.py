"""What the contracts mark as personal or free text is cleaned, and nothing else is touched (D7, D8, P12)."""

import json

import pytest

from libs.events.codec import data_json
from libs.events.contracts import (
    EVENTS,
    ConversationOpened,
    Event,
    IncidentResolved,
    OrderPlaced,
    PageViewed,
    ShipmentCreated,
    ShipmentMoved,
    TopicBeat,
)
from libs.events.examples import load_example
from libs.events.scrub import scrubbed, without_query
from libs.service.privacy import Pseudonyms, mask_text

PHONE = "13800005678"
MAIL = "li.lei@example.com"
ID_CARD = "440301199001011234"
CANARIES = [PHONE, MAIL, ID_CARD]
PSEUDONYMS = Pseudonyms(b"one key an installation")


def clean(event: Event) -> Event:
    return scrubbed(event, reference=PSEUDONYMS.replace, text=mask_text)


def example(event: type[Event], **changes: object) -> Event:
    return event.model_validate(load_example(event)["data"] | changes)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.TYPE)
def test_a_clean_event_is_left_as_it_is(event: type[Event]) -> None:
    given = example(event)
    assert clean(given) is given


@pytest.mark.parametrize("value", [PHONE, "+86 138-0000-5678", MAIL, MAIL.upper()])
def test_a_customer_who_is_really_a_phone_number_or_a_mail_address_becomes_a_pseudonym(value: str) -> None:
    customer = clean(example(OrderPlaced, customer_id=value)).model_dump()["customer_id"]
    assert customer.startswith("h_")
    assert customer == PSEUDONYMS.replace(value)


def test_the_same_person_has_one_pseudonym_in_every_event() -> None:
    placed = clean(example(OrderPlaced, customer_id=PHONE)).model_dump()
    opened = clean(example(ConversationOpened, customer_id=f"+86 {PHONE}")).model_dump()
    assert placed["customer_id"] == opened["customer_id"]


@pytest.mark.parametrize("canary", CANARIES)
def test_no_canary_survives_in_a_text_not_even_between_chinese_characters(canary: str) -> None:
    for event, field in ((ConversationOpened, "subject"), (ShipmentMoved, "place")):
        assert canary.encode() not in data_json(clean(example(event, **{field: f"请联系{canary}谢谢"})))


@pytest.mark.parametrize("canary", CANARIES)
def test_parts_of_an_event_are_cleaned_too(canary: str) -> None:
    record = load_example(IncidentResolved)["data"]["record"] | {"cause": f"顾客{canary}投诉", "measures": canary}
    assert canary.encode() not in data_json(clean(example(IncidentResolved, record=record)))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/p/A001?phone=13800005678", "/p/A001"),
        ("/p/A001#13800005678", "/p/A001"),
        ("?utm=1", "/"),
        ("/p/A001", "/p/A001"),
        ("/u/13800005678/cart", "/u/138****5678/cart"),
    ],
)
def test_a_path_travels_without_its_query(given: str, kept: str) -> None:
    assert clean(example(PageViewed, url_path=given)).model_dump()["url_path"] == kept


def test_the_query_begins_at_the_first_mark() -> None:
    assert without_query("/a#b?c") == "/a"
    assert without_query("/a?b#c?d") == "/a"


def test_a_tracking_number_is_no_phone_number() -> None:
    shipped = clean(example(ShipmentCreated, tracking_number=PHONE)).model_dump()
    assert shipped["tracking_number"] == PHONE


def test_every_reference_to_a_customer_is_marked() -> None:
    for event in EVENTS:
        if "customer_id" in event.model_fields:
            given = example(event, customer_id=PHONE)
            assert PHONE not in json.dumps(json.loads(data_json(clean(given)))["customer_id"]), event.TYPE


def test_an_event_without_texts_is_not_looked_at() -> None:
    beat = example(TopicBeat)
    assert clean(beat) is beat
