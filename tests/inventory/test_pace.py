"""Small batches while somebody calls, larger and larger ones while nobody does."""

from libs.events.consumer import MAX_RECORDS
from services.inventory.pace import FEW, next_size


def test_batches_double_while_it_is_quiet() -> None:
    sizes = [FEW]
    while sizes[-1] < MAX_RECORDS:
        sizes.append(next_size(sizes[-1], is_quiet=True))
    assert sizes[:3] == [64, 128, 256]
    assert sizes[-1] == MAX_RECORDS
    assert next_size(MAX_RECORDS, is_quiet=True) == MAX_RECORDS


def test_a_call_makes_them_small_at_once() -> None:
    assert next_size(MAX_RECORDS, is_quiet=False) == FEW
