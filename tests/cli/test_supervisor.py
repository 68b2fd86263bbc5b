"""Programs are kept running, and ended in an orderly way."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from cli.local.supervisor import LOG_LIMIT_BYTES, Child, GaveUp, Program, rotate, supervised
from cli.output import CommandFailed

FOREVER = "import time\nwhile True: time.sleep(0.05)"


def program(folder: Path, code: str, name: str = "toy", **environment: str) -> Program:
    return Program(name, [sys.executable, "-c", code], environment, folder / f"{name}.log")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until_started(child: Child, beyond: int = 0) -> int:
    async with asyncio.timeout(10):
        while child.process is None or child.process.pid == beyond:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return child.process.pid


async def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    deaths: list[int] = []
    child = Child(program(tmp_path, FOREVER), died=lambda _child, code: deaths.append(code), was_ready=True)
    async with supervised([child]):
        first = await until_started(child)
        os.kill(first, 9)
        second = await until_started(child, beyond=first)
        assert is_alive(second)
    assert deaths == [-9]
    assert not is_alive(second), "it ends with the body"


async def test_a_crash_point_is_for_the_first_life_only(tmp_path: Path) -> None:
    code = "import os, time\nprint(os.environ.get('OPSWIRE_CRASH_POINT'), flush=True)\ntime.sleep(0.2)"
    child = Child(program(tmp_path, code, OPSWIRE_CRASH_POINT="somewhere:1"), was_ready=True)
    async with supervised([child]):
        first = await until_started(child)
        await until_started(child, beyond=first)
        await asyncio.sleep(0.3)
    assert child.program.log.read_text().split()[:2] == ["somewhere:1", "None"]


async def test_a_program_that_never_comes_up_is_given_up_with_its_log(tmp_path: Path) -> None:
    child = Child(program(tmp_path, "raise SystemExit('no such table')"))
    with pytest.raises(GaveUp, match="no such table"):
        async with supervised([child]):
            await asyncio.Event().wait()


async def test_a_wrong_deployment_is_given_up_at_once(tmp_path: Path) -> None:
    child = Child(program(tmp_path, "import sys; print('run opswire migrate', flush=True); sys.exit(78)"))
    with pytest.raises(GaveUp, match="run opswire migrate"):
        async with supervised([child]):
            await asyncio.Event().wait()
    assert child.restarts == 1


async def test_an_error_of_the_body_ends_all_programs_and_stays_itself(tmp_path: Path) -> None:
    children = [Child(program(tmp_path, FOREVER, name=name)) for name in ("one", "two")]
    pids: list[int] = []

    async def fail() -> None:
        async with supervised(children):
            pids.extend([await until_started(child) for child in children])
            raise CommandFailed("no luck")

    with pytest.raises(CommandFailed, match="no luck"):
        await fail()
    assert not any(is_alive(pid) for pid in pids)


async def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.local.supervisor.STOP_SECONDS", 0.5)
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n" + FOREVER
    child = Child(program(tmp_path, stubborn))
    async with supervised([child]):
        pid = await until_started(child)
        while "deaf" not in child.program.log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not is_alive(pid)


async def test_the_pause_before_a_restart_grows(tmp_path: Path) -> None:
    child = Child(program(tmp_path, ""))
    assert [child._next_pause(0.1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert child._next_pause(31.0) == 0.2, "who ran well starts again with the first pause"
    assert child._next_pause(0.1) == 0.4


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "toy.log"
    with log.open("wb") as file:
        file.truncate(LOG_LIMIT_BYTES + 1)
    rotate(log)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.1.log"]
