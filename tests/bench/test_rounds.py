"""Who runs when."""

from collections.abc import Awaitable, Callable

import pytest

from bench.load import Json, content_length
from bench.rounds import Sample, interleave
from bench.samples import order_body, page_views


def contender(name: str, log: list[str]) -> Callable[[], Awaitable[Sample]]:
    async def run() -> Sample:
        log.append(name)
        return {"n": float(len(log))}

    return run


async def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    log: list[str] = []
    samples = await interleave({name: contender(name, log) for name in "abc"}, 3)
    assert "".join(log) == "abc" + "cba" + "abc"
    assert [sample["n"] for sample in samples["a"]] == [1, 6, 7]


def test_a_request_has_its_number_its_length_and_the_key() -> None:
    request = Json("/v1/x", '{"id":"r-{n}","sku":"S{k}"}', "ow_key", modulus=10)(123)
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == b'{"id":"r-123","sku":"S3"}'
    assert content_length(head) == len(body)
    assert b"authorization: Bearer ow_key" in head


@pytest.mark.parametrize(
    ("head", "length"),
    [(b"HTTP/1.1 204 No Content", 0), (b"A: b\r\nContent-Length: 12", 12), (b"content-length:7\r\nx: y", 7)],
)
def test_the_length_of_an_answer_is_read_from_its_head(head: bytes, length: int) -> None:
    assert content_length(head) == length


def test_the_same_events_are_made_every_time_but_for_their_ids() -> None:
    first, second = ([(m.key, m.value) for m in page_views(100)] for _ in range(2))
    assert first == second
    assert len({key for key, _ in first}) == 10


def test_an_order_has_a_line_for_each_sku() -> None:
    assert '"order_id": "o-{n}"' in order_body("o-{n}", "A", "B")
    assert order_body("o", "A", "B").count('"quantity": 2') == 2
