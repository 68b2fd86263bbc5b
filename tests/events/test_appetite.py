"""How many records a consumer takes at once."""

from libs.events.appetite import FEWEST, MOST_BYTES, MOST_SECONDS, Appetite
from libs.events.bus import Record


def records(count: int, size: int = 100) -> list[Record]:
    return [Record("traffic", 0, n, b"k", b"x" * size, ()) for n in range(count)]


def test_it_grows_while_every_fetch_is_full_up_to_its_most() -> None:
    appetite = Appetite(100, 350)
    sizes = []
    for _ in range(4):
        appetite.ate(records(appetite.size), 0.1)
        sizes.append(appetite.size)
    assert sizes == [200, 350, 350, 350]


def test_it_goes_back_when_less_has_come() -> None:
    appetite = Appetite(100, 1_000, size=1_000)
    appetite.ate(records(3), 0.1)
    assert appetite.size == 500
    for _ in range(5):
        appetite.ate(records(3), 0.1)
    assert appetite.size == 100


def test_a_batch_that_took_long_is_followed_by_a_smaller_one() -> None:
    appetite = Appetite(1_000, 8_000, size=8_000)
    appetite.ate(records(8_000), 4 * MOST_SECONDS)
    assert appetite.size == 2_000


def test_large_records_make_small_batches() -> None:
    appetite = Appetite(1_000, 8_000)
    appetite.ate(records(1_000, MOST_BYTES // 500), 0.1)
    assert appetite.size == 500
    appetite.ate(records(2, MOST_BYTES), 0.1)
    assert appetite.size == FEWEST
