"""Small batches while somebody calls, larger and larger ones while nobody does."""

from services.inventory.pace import FEW, MANY, next_size


def test_batches_double_while_it_is_quiet() -> None:
    sizes = [FEW]
    while sizes[-1] < MANY:
        sizes.append(next_size(sizes[-1], is_quiet=True))
    assert sizes[:3] == [64, 128, 256]
    assert sizes[-1] == MANY
    assert next_size(MANY, is_quiet=True) == MANY


def test_a_call_makes_them_small_at_once() -> None:
    assert next_size(MANY, is_quiet=False) == FEW
