"""Servers shared by all processes of one test run: started once, by whoever needs one first, ended with the run.

pytest-xdist's workers are processes of their own. The first that asks starts a guardian,
`python -m tests.support.guardian KIND`, which starts the server, writes its address and ends the server when the run's
main process is gone, however it ended.
"""

import atexit
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cli.local.postgres import LocalPostgres

ROOT = Path(__file__).resolve().parents[2]
RUN_FOLDER = "OPSWIRE_TEST_RUN"
START_SECONDS = 120.0

TEST_POSTGRES = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "autovacuum_naptime": "10s",
}


class ServerFailed(Exception):
    """A shared server did not come up; the message holds what it said."""


def open_run() -> None:
    """Called by the main process before any worker exists: the folder in which the run's processes meet."""
    if RUN_FOLDER not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="opswire-test-"))
        (folder / "pid").write_text(str(os.getpid()))
        os.environ[RUN_FOLDER] = str(folder)
        atexit.register(_clear, folder)


def _clear(folder: Path) -> None:
    """Remove the folder of a run once nobody's server is in it any more."""
    if not list(folder.glob("*.json")):
        shutil.rmtree(folder, ignore_errors=True)


def run_folder() -> Path:
    return Path(os.environ[RUN_FOLDER])


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """One process of the run at a time."""
    with (run_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shared_server(kind: str) -> str:
    """The address of the run's server of that kind (`postgres` or `kafka`); the first to ask waits for its start."""
    address = run_folder() / f"{kind}.json"
    with only_one(kind):
        if not address.exists():
            _start_guardian(kind, address)
        found: dict[str, str] = json.loads(address.read_text())
    if "failed" in found:
        raise ServerFailed(found["failed"])
    return found["address"]


def _start_guardian(kind: str, address: Path) -> None:
    with (run_folder() / f"{kind}.log").open("ab") as log:
        guardian = subprocess.Popen(
            [sys.executable, "-m", "tests.support.guardian", kind], cwd=ROOT, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not address.exists():
        if guardian.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed((run_folder() / f"{kind}.log").read_text())
        time.sleep(0.05)
    guardian.returncode = 0  # it outlives us on purpose


# -- the guardian's own process ---------------------------------------------------------------------------------------


def main(kind: str) -> None:
    """Start the server, tell its address, wait for the end of the run, clean up."""
    start = {"postgres": start_postgres, "kafka": start_kafka}[kind]
    folder = run_folder()
    try:
        address, stop = start(folder / kind)
    except Exception as problem:  # noqa: BLE001 - the tests are told what went wrong
        _tell(folder / f"{kind}.json", {"failed": str(problem)})
        return
    _tell(folder / f"{kind}.json", {"address": address})
    wait_for_end_of(int((folder / "pid").read_text()))
    stop()
    shutil.rmtree(folder / kind, ignore_errors=True)
    (folder / f"{kind}.json").unlink()
    _clear(folder)


def _tell(file: Path, content: dict[str, str]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(file)


def start_postgres(folder: Path) -> tuple[str, Callable[[], None]]:
    server = LocalPostgres(folder, settings=TEST_POSTGRES, sync_files=False)
    server.start()
    return server.url(), server.remove


def start_kafka(folder: Path) -> tuple[str, Callable[[], None]]:
    """The real broker of `make kafka` on a free port."""
    broker = spawn_kafka(folder, sys.stderr.fileno())
    assert broker.stdout is not None
    address = broker.stdout.readline().strip()
    if not address:
        raise ServerFailed(f"the Kafka broker did not start: {(run_folder() / 'kafka.log').read_text()[-2000:]}")

    def stop() -> None:
        broker.terminate()
        broker.wait(20)

    return address, stop


def spawn_kafka(folder: Path, log: int) -> "subprocess.Popen[str]":
    """`deploy/kafka/run.py` on a kept folder; its first line of output is the address."""
    command = [sys.executable, str(ROOT / "deploy" / "kafka" / "run.py"), "--port", "0", "--data", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)


def wait_for_end_of(pid: int) -> None:
    """Return when the process is gone, or when we are asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(ProcessLookupError):
            select.select([os.pidfd_open(pid)], [], [])
        return
    while _is_alive(pid):
        time.sleep(0.5)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
