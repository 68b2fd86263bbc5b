"""A struct derived for the front door accepts what the contract accepts, and nothing else."""

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, model_validator

from libs.events.contracts import AdSpent, CartAdded, CheckoutStarted, Event, PageViewed
from libs.events.exact import NotDerivable, exact

MODELS: list[type[Event]] = [PageViewed, CartAdded, CheckoutStarted]
STRUCTS = {model: msgspec.json.Decoder(exact(model)) for model in MODELS}


def by_contract(model: type[Event], raw: bytes) -> Event | None:
    try:
        return model.model_validate(json.loads(raw), extra="forbid")
    except ValidationError:
        return None


def by_struct(model: type[Event], raw: bytes) -> Any:
    try:
        return STRUCTS[model].decode(raw)
    except msgspec.MsgspecError:
        return None


NAMES = sorted({name for model in MODELS for name in model.model_fields} | {"unknown"})
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.sampled_from(["A001", "v-1", "paid", "product", "/p", "a\n", "x" * 128, "x" * 129, "抖音"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["sku", "quantity", "unit_price_cents", "id", "variant", "x"]), inner),
    ),
    max_leaves=4,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(MODELS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_struct_and_contract_agree(model: type[Event], changes: dict[str, Any]) -> None:
    good = {"visitor_id": "v-1", "url_path": "/p", "page_kind": "home", "sku": "A001"}
    raw = json.dumps({**good, **changes}).encode()
    contract, struct = by_contract(model, raw), by_struct(model, raw)
    assert (contract is None) == (struct is None)
    if contract is not None:
        again = model.model_validate(json.loads(msgspec.json.encode(struct)), extra="forbid")
        assert again == contract


def test_a_model_that_has_no_exact_counterpart_is_refused_when_the_struct_is_made() -> None:
    with pytest.raises(NotDerivable):
        exact(AdSpent)


def test_a_validator_before_the_fields_is_not_derivable() -> None:
    class Early(BaseModel):
        name: Annotated[str, Field(pattern="^a$")]

        @model_validator(mode="before")
        @classmethod
        def _look(cls, data: Any) -> Any:
            return data

    with pytest.raises(NotDerivable):
        exact(Early)


def test_further_fields_and_a_tag_stand_in_front() -> None:
    struct = exact(PageViewed, before={"id": str}, tag="page.viewed")
    raw = b'{"type":"page.viewed","id":"e-1","visitor_id":"v","url_path":"/","page_kind":"home"}'
    event: Any = msgspec.json.decode(raw, type=struct)
    assert (event.id, event.visitor_id) == ("e-1", "v")
    assert msgspec.json.encode(event) == raw
