"""A process starts quickly or says why not, stops in order, and ends when a part of it does (P11)."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from libs.service.auth import add_key
from libs.service.database import create_engine
from libs.service.lifecycle import HANGING_SECONDS
from tests.service.conftest import Example
from tests.service.example.settings import ExampleSettings

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Process:
    """A service in a process of its own."""

    popen: "subprocess.Popen[str]"
    url: str
    log: Path

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Return when `/readyz` says yes."""
        deadline, said = time.monotonic() + seconds, "nothing"
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise AssertionError(f"ended with {self.popen.returncode}: {self.log.read_text()}")
            try:
                answer = httpx2.get(f"{self.url}/readyz")
                if answer.status_code == 200:
                    return
                said = answer.text
            except httpx2.TransportError as error:
                said = repr(error)
            time.sleep(0.05)
        raise AssertionError(f"not ready, says {said}: {self.log.read_text()}")


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes and ends them with the test."""
    started: list[Process] = []

    def run(database: str, *, module: str = "tests.service.example", **environment: str) -> Process:
        port = _free_port()
        settings = {"OPSWIRE_DATABASE_URL": database, "OPSWIRE_EXAMPLE_PORT": str(port), **environment}
        log = tmp_path / f"{len(started)}.log"
        with log.open("w") as errors:
            popen = subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=_environment(settings), stderr=errors, text=True
            )
        started.append(Process(popen, f"http://127.0.0.1:{port}", log))
        return started[-1]

    yield run
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.wait()


def _environment(settings: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPSWIRE_")}
    return {**plain, **settings}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def key(example_database: str) -> str:
    """A key for the store `demo`."""
    engine = create_engine(example_database)
    async with engine.begin() as session:
        await session.exec_driver_sql(
            "INSERT INTO access.stores (store, name, timezone, currency, language)"
            " VALUES ('demo', 'Demo', 'Asia/Shanghai', 'CNY', 'zh') ON CONFLICT DO NOTHING"
        )
        made = await add_key(session, "demo", ["orders:read", "orders:write"])
    await engine.dispose()
    return made.key


@contextmanager
def _calling(process: Process, key: str, path: str) -> Iterator[list[int]]:
    """One call under way in a thread of its own; its status is in the list once it is answered."""
    answered: list[int] = []

    def call() -> None:
        answer = httpx2.get(process.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        answered.append(answer.status_code)

    thread = threading.Thread(target=call)
    thread.start()
    time.sleep(0.4)
    yield answered
    thread.join()


async def test_sigterm_lets_running_calls_finish_and_ends_with_0(start: Start, example_database: str, key: str) -> None:
    process = start(example_database)
    process.wait_until_ready()
    with _calling(process, key, "/v1/slow?seconds=1.5") as answered:
        process.popen.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.popen.wait(30) == 0
    assert answered == [200]
    assert time.monotonic() - began < 10


async def test_sigterm_ends_the_process_whatever_hangs(start: Start, example_database: str) -> None:
    process = start(
        example_database,
        module="tests.service.example.misfit",
        OPSWIRE_MISFIT="stubborn",
        OPSWIRE_DRAIN_SECONDS="1",
    )
    process.wait_until_ready()
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 70


def test_the_limits_of_stopping_add_up_to_less_than_10_s() -> None:
    assert ExampleSettings.model_fields["drain_seconds"].default + HANGING_SECONDS < 10


async def test_a_call_that_takes_too_long_is_cut_off(start: Start, example_database: str, key: str) -> None:
    process = start(example_database, OPSWIRE_DRAIN_SECONDS="1")
    process.wait_until_ready()
    began = time.monotonic()
    try:
        with _calling(process, key, "/v1/slow?seconds=20"):
            process.popen.send_signal(signal.SIGTERM)
            process.popen.wait(10)
    finally:
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("how", ["returns", "raises"])
async def test_a_loop_that_ends_takes_the_process_down(start: Start, example_database: str, how: str) -> None:
    process = start(example_database, module="tests.service.example.misfit", OPSWIRE_MISFIT=how)
    assert process.popen.wait(60) == 70
    log = process.log.read_text()
    assert "the process ends" in log
    assert "ow_abc_0011" not in log


async def test_after_sigkill_it_is_ready_again_in_10_s(start: Start, example_database: str, key: str) -> None:
    process = start(example_database)
    process.wait_until_ready()
    process.popen.kill()
    process.popen.wait()
    began = time.monotonic()
    again = start(example_database)
    again.wait_until_ready()
    used = psutil.Process(again.popen.pid).cpu_times()
    assert used.user + used.system < 6
    if os.getloadavg()[0] < (os.cpu_count() or 1):  # others' work says nothing about ours
        assert time.monotonic() - began < 10


async def test_a_missing_migration_is_one_clear_line(start: Start, empty_database: str) -> None:
    process = start(empty_database)
    assert process.popen.wait(60) == 78
    assert process.log.read_text() == (
        "example: schema access is at version none, this program needs 0001: run `opswire migrate`\n"
    )


async def test_a_bad_setting_is_one_line_that_names_it(start: Start, example_database: str) -> None:
    process = start(example_database, OPSWIRE_QUEUE_SECONDS="soon")
    assert process.popen.wait(60) == 78
    [line] = process.log.read_text().splitlines()
    assert "OPSWIRE_QUEUE_SECONDS" in line


async def test_unsafe_settings_refuse_to_start_in_production(start: Start, example_database: str) -> None:
    process = start(example_database, OPSWIRE_ENVIRONMENT="production", OPSWIRE_LOG_LEVEL="debug")
    assert process.popen.wait(60) == 78
    [line] = process.log.read_text().splitlines()
    assert "OPSWIRE_LOG_LEVEL" in line


async def test_a_database_that_is_away_at_start_is_one_line_without_the_password(start: Start) -> None:
    process = start(f"postgresql://user:pa55word@127.0.0.1:{_free_port()}/none")
    assert process.popen.wait(60) == 70
    log = process.log.read_text()
    assert len(log.splitlines()) == 1
    assert "pa55word" not in log


async def test_a_taken_port_ends_the_process(start: Start, example_database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(example_database, OPSWIRE_EXAMPLE_PORT=str(taken.getsockname()[1]))
        assert process.popen.wait(60) not in (0, None)


async def test_a_loop_that_ends_in_the_same_process_is_raised(example: Example) -> None:
    assert "relay" in example.runtime.loops
    with pytest.raises(ValueError, match="relay"):
        example.runtime.loop("relay", example.runtime.relay.run)


# what is no proper request


def _say(process: Process, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send raw bytes and read until the other side closes."""
    host, port = "127.0.0.1", int(process.url.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=10) as connection:
        heard = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while chunk := connection.recv(65536):
                heard += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return heard


NONSENSE = (
    b"hello\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01",
)


async def test_what_is_no_http_request_gets_a_problem_and_harms_nobody(start: Start, example_database: str) -> None:
    process = start(example_database)
    process.wait_until_ready()
    for nonsense in (
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01",
    ):
        heard = _say(process, nonsense + b"\r\n" * 4)
        assert heard.startswith(b"HTTP/1.1 400 "), heard
        assert b"application/problem+json" in heard
    endless = _say(process, b"GET / HTTP/1.1\r\nX: ", *[b"x" * 65536] * 20)
    assert endless.startswith(b"HTTP/1.1 431 ") or endless == b"", "answered, or the connection was cut while we sent"
    many = _say(process, b"GET / HTTP/1.1\r\n", *[b"X-Y: z\r\n" * 1000] * 20)
    assert many.startswith(b"HTTP/1.1 431 ") or many == b""
    assert httpx2.get(f"{process.url}/healthz").status_code == 200


async def test_two_requests_over_one_connection_are_both_answered(start: Start, example_database: str) -> None:
    process = start(example_database)
    process.wait_until_ready()
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert _say(process, one + one, one, last, pause=0.2).count(b"HTTP/1.1 200 OK") == 4
