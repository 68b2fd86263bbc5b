"""Keys lie where Kafka's own producers would put them."""

import pytest
from aiokafka import partitioner
from hypothesis import given
from hypothesis import strategies as st

from libs.events.partitioning import murmur2, partition_of

FROM_KAFKAS_OWN_TEST = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", FROM_KAFKAS_OWN_TEST, ids=lambda key: key.decode())
def test_the_hash_is_that_of_kafkas_java_client(key: bytes) -> None:
    assert murmur2(key) == FROM_KAFKAS_OWN_TEST[key] % 2**32


@given(st.binary(max_size=200), st.integers(1, 64))
def test_the_partition_is_that_of_aiokafkas_default(key: bytes, partitions: int) -> None:
    theirs = partitioner.DefaultPartitioner()(key, list(range(partitions)), [])
    assert partition_of(key, partitions) == theirs
