"""`opswire up`, driven from outside: what it prints, what it leaves, what happens when a part of it is killed."""

import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from cli.local.processes import is_port_free
from cli.local.topology import SERVICES
from tests.support.command import PROGRAM, Up, environment, opswire, opswire_up
from tests.support.folders import folder_for_servers

FIRST_PORT = 62001
"""Beyond the ports that systems give away by themselves."""


def first_port() -> int:
    """Five ports in a row that are free, apart from those of another worker."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return next(
        port
        for port in range(FIRST_PORT + 100 * worker, FIRST_PORT + 100 * worker + 100, 5)
        if all(is_port_free(port + at) for at in range(5))
    )


def within(seconds: float, check: Callable[[], bool]) -> bool:
    """Whether it comes true in that time."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def get(up: Up, service: str, path: str, **parameters: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {up.ready['key']}"}
    return httpx2.get(f"{up.ready['services'][service]}{path}", headers=headers, params=parameters, timeout=10)


def family(up: Up) -> list[psutil.Process]:
    return psutil.Process(up.process.pid).children(recursive=True)


def process_of(up: Up, service: str) -> psutil.Process:
    return next(child for child in family(up) if f"services.{service}" in child.cmdline())


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """A platform with nothing but Python: embedded database, PostgreSQL bus."""
    with folder_for_servers() as folder:
        with opswire_up(folder / "var", "--ports-from", str(first_port()), "--store", "shop") as started:
            yield started


@pytest.fixture
def place() -> Iterator[Path]:
    """A data folder that is not there yet."""
    with folder_for_servers() as folder:
        yield folder / "var"


def test_the_ready_line_says_what_scripts_need(up: Up) -> None:
    assert set(up.ready) == {"services", "key", "store", "database_url", "bus"}
    assert list(up.ready["services"]) == list(SERVICES)
    assert up.ready["key"].startswith("ow_")
    assert (up.ready["store"], up.ready["bus"]) == ("shop", "postgres")
    assert up.ready["database_url"].startswith("postgresql")


def test_every_service_is_ready_and_takes_the_key(up: Up) -> None:
    assert all(is_ready(url) for url in up.ready["services"].values())
    assert get(up, "inventory", "/v1/skus", store="shop").status_code == 200


def test_what_it_leaves_is_for_its_owner_only(up: Up) -> None:
    for name in ("runtime.json", "operator.key"):
        assert stat.S_IMODE((up.data / name).stat().st_mode) == 0o600


def test_commands_find_it_by_its_folder(up: Up) -> None:
    stores = opswire("stores", "list", "--json", "--data", str(up.data)).good().json["items"]
    assert [store["store"] for store in stores] == ["shop"]
    opswire(
        "stores", "add", "second", "--currency", "EUR", "--timezone", "Europe/Berlin", "--data", str(up.data)
    ).good()
    stores = opswire("stores", "list", "--json", "--data", str(up.data)).good().json["items"]
    assert {store["store"]: store["currency"] for store in stores}["second"] == "EUR"
    made = opswire("keys", "add", "--store", "second", "--scopes", "inventory:read", "--json", "--data", str(up.data))
    headers = {"Authorization": f"Bearer {made.good().json['key']}"}
    assert httpx2.get(f"{up.ready['services']['inventory']}/v1/skus", headers=headers).status_code == 200
    assert opswire("dead", "list", "--json", "--data", str(up.data)).good().json["total"] == 0


def test_the_doctor_finds_it_healthy(up: Up) -> None:
    findings = opswire("doctor", "--json", "--data", str(up.data)).good().json["findings"]
    assert {finding["check"] for finding in findings} >= {"database", "schemas", "bus", *SERVICES}


def test_a_second_platform_on_the_folder_is_refused(up: Up) -> None:
    done = opswire("up", "--data", str(up.data), "--ports-from", str(first_port()))
    assert done.code == 1
    assert "--data" in done.err


def test_a_taken_port_is_named(up: Up, place: Path) -> None:
    taken = up.ready["services"]["orders"].rsplit(":", 1)[1]
    done = opswire("up", "--data", str(place), "--ports-from", taken)
    assert done.code == 1
    assert taken in done.err
    assert "--ports-from" in done.err


@pytest.mark.parametrize("service", ["orders", "kpi"])
def test_a_killed_service_comes_back(up: Up, service: str) -> None:
    victim = process_of(up, service)
    victim.kill()
    assert within(5, lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE)
    assert within(30, lambda: is_ready(up.ready["services"][service]))
    assert process_of(up, service).pid != victim.pid


def test_a_killed_database_comes_back_at_its_address(up: Up) -> None:
    server = next(child for child in family(up) if child.name() == "postgres" and child.ppid() == up.process.pid)
    server.kill()
    assert within(60, lambda: all(is_ready(url) for url in up.ready["services"].values()))
    assert get(up, "inventory", "/v1/skus", store="shop").status_code == 200


def test_a_given_database_is_used_and_sigterm_ends_everything(empty_database: str, place: Path) -> None:
    with opswire_up(place, "--ports-from", str(first_port()), OPSWIRE_DATABASE_URL=empty_database) as up:
        processes = family(up)
        assert up.ready["database_url"] == empty_database
        assert not any(child.name() == "postgres" for child in processes)
        assert up.stop() == 0
        assert [process for process in processes if process.is_running()] == []
        assert not (place / "runtime.json").exists()
        assert not (place / "postgres").exists()


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_goes_on(place: Path) -> None:
    port = str(first_port())
    with up_for_people(place, "--ports-from", port) as (process, said):
        processes = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        gone, alive = psutil.wait_procs(processes, timeout=20)
        assert (len(gone), alive) == (len(processes), [])
    with opswire_up(place, "--ports-from", port) as up:
        assert up.ready["key"] in said, "the key of the first life is still good"
        assert up.stop(signal.SIGINT) == 0


@pytest.mark.kafka
def test_with_kafka_the_bus_is_kafka(kafka: str, topic_prefix: str, place: Path) -> None:
    port = str(first_port())
    with opswire_up(place, "--ports-from", port, OPSWIRE_KAFKA=kafka, OPSWIRE_TOPIC_PREFIX=topic_prefix) as up:
        assert up.ready["bus"] == "kafka"
        findings = opswire("doctor", "--json", "--data", str(place)).good().json["findings"]
        assert {finding["check"]: finding["state"] for finding in findings}["bus"] == "ok"


@contextmanager
def up_for_people(data: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`opswire up` as a person starts it; what it said until it was up."""
    said = data.with_suffix(".said")
    with said.open("w") as out:
        process = subprocess.Popen(
            [str(PROGRAM), "up", "--data", str(data), *arguments],
            env=environment({"PYTHONUNBUFFERED": "1"}), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        assert within(60, lambda: "bus " in said.read_text()), said.read_text()
        yield process, said.read_text()
    finally:
        process.terminate()
        process.wait(40)
        said.unlink()
