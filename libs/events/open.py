"""Which bus: Kafka where there are brokers, else the database."""

from collections.abc import Callable

from libs.events.bus import Bus
from libs.events.postgres import PostgresBus


def open_bus(
    database_url: str,
    *,
    kafka: str | None = None,
    prefix: str = "",
    installation: Callable[[], str] | None = None,
    member: str | None = None,
) -> Bus:
    """The bus of this installation, not yet started.

    `kafka`: bootstrap servers; without them the bus lives in the database.
    `installation`: tells its id once the bus is started; topics of another one are refused (D59).
    `member`: see KafkaBus; to be left out when several processes of a service could share it.
    """
    if not kafka:
        return PostgresBus(database_url, prefix=prefix)
    from libs.events.kafka import KafkaBus  # aiokafka is loaded only where it is used

    return KafkaBus(kafka, prefix=prefix, installation=installation, member=member)
