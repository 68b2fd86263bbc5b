"""Ids that sort by time, and identities that never collide by accident."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.events.ids import identity_hash, uuid7

NOW = datetime(2024, 7, 1, 10, 0, 0, 123456, tzinfo=UTC)


def test_a_uuid7_is_one_by_the_standard() -> None:
    made = uuid.UUID(uuid7(NOW))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert str(made)[:17] == uuid7(NOW)[:17]
    assert made.int >> 80 == 1719828000123


def test_ids_made_later_sort_later_to_the_microsecond() -> None:
    moments = [NOW + timedelta(microseconds=n) for n in (0, 1, 2, 999, 1_000, 1_000_000, 10**12)]
    ids = [uuid7(moment) for moment in moments]
    assert ids == sorted(ids)
    assert uuid7() > uuid7(NOW)


def test_ids_of_one_moment_differ() -> None:
    assert len({uuid7(NOW) for _ in range(10_000)}) == 10_000


def test_an_identity_is_sixteen_bytes_and_always_the_same() -> None:
    assert identity_hash("demo", "/s", "e-1") == identity_hash("demo", "/s", "e-1")
    assert len(identity_hash("demo", "/s", "e-1")) == 16


def test_identities_of_time_ordered_ids_lie_together_in_time() -> None:
    hashes = [identity_hash("demo", "/s", uuid7(NOW + timedelta(milliseconds=n))) for n in range(100)]
    assert hashes == sorted(hashes)


def test_the_same_time_ordered_id_in_another_store_is_another_identity() -> None:
    made = uuid7(NOW)
    assert len({identity_hash("a", "/s", made), identity_hash("b", "/s", made), identity_hash("a", "/t", made)}) == 3


def test_only_the_canonical_spelling_counts_as_time_ordered() -> None:
    made = uuid7(NOW)
    assert identity_hash("demo", "/s", made.upper())[:8] != identity_hash("demo", "/s", made)[:8]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_different_identities_have_different_hashes(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (identity_hash(*one) == identity_hash(*other)) == (one == other)
