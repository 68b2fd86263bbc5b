"""The tables of the PostgreSQL bus: schema `bus`, two tables, one function. Repeating the installation is harmless."""

from sqlalchemy import Connection, text

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('opswire:bus:schema'))"

_SCHEMA = "CREATE SCHEMA IF NOT EXISTS bus"

_PARTITION = """
CREATE TABLE IF NOT EXISTS bus.partition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    number integer NOT NULL CHECK (number >= 0),
    first_offset bigint NOT NULL DEFAULT 0,
    next_offset bigint NOT NULL DEFAULT 0,
    retention interval,
    UNIQUE (topic, number)
) WITH (fillfactor = 20)
"""
"""Updated by every append: room in the page keeps these updates out of the indexes."""

_RECORD = """
CREATE TABLE IF NOT EXISTS bus.record (
    partition_id integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers bytea NOT NULL,
    appended_at timestamptz NOT NULL,
    PRIMARY KEY (partition_id, record_offset)
)
"""

_APPEND = """
CREATE OR REPLACE FUNCTION bus.append(
    touched integer[], counts integer[],
    ids integer[], places integer[], keys bytea[], contents bytea[], heads bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Held until commit: offsets are dense, and whoever sees one sees all before it. One order for all: no deadlock.
    PERFORM 1 FROM bus.partition p WHERE p.id = ANY (touched) ORDER BY p.id FOR UPDATE;

    INSERT INTO bus.record (partition_id, record_offset, key, value, headers, appended_at)
    SELECT p.id, p.next_offset + m.place, m.key, m.value, m.headers, clock_timestamp()
    FROM unnest(ids, places, keys, contents, heads) AS m (id, place, key, value, headers)
    JOIN bus.partition p ON p.id = m.id;

    UPDATE bus.partition p SET next_offset = p.next_offset + c.n
    FROM unnest(touched, counts) AS c (id, n) WHERE p.id = c.id;

    PERFORM pg_notify('bus', array_to_string(touched, ' '));
END $$
"""
"""Appends messages: `touched` partitions with the `counts` they get; for each message its partition id and its place
among those of its partition. Readers are told once, at commit."""


def create_bus_schema(connection: Connection) -> None:
    """Install or update the tables; part of the caller's transaction (async: `await connection.run_sync(...)`)."""
    for statement in (_LOCK, _SCHEMA, _PARTITION, _RECORD, _APPEND):
        connection.execute(text(statement))
