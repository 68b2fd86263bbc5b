"""The command `opswire`, driven from outside as a script would."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from cli.main import app
from tests.support.guardian import ROOT

PROGRAM = Path(sys.executable).with_name("opswire")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document; anything else on stdout fails here."""
        return json.loads(self.out)

    def good(self) -> "Done":
        """Itself, when it worked."""
        assert self.code == 0, self.err or self.out
        return self


def environment(given: dict[str, str]) -> dict[str, str]:
    """Ours without any setting of opswire, and then what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPSWIRE_")}
    return {**clean, "COLUMNS": "200", **given}


def opswire(*arguments: str, cwd: Path = ROOT, **variables: str) -> Done:
    """Run a command to its end, in this process. `variables` are its settings, such as OPSWIRE_DATABASE_URL."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), mock.patch.dict(os.environ, environment(variables), clear=True):
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _run(arguments)
    return Done(code, out.getvalue(), err.getvalue())


def _run(arguments: tuple[str, ...]) -> int:
    try:
        app(list(arguments), prog_name="opswire")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def opswire_process(*arguments: str, cwd: Path = ROOT, timeout: float = 60.0, **variables: str) -> Done:
    """The same as a process of its own."""
    done = subprocess.run(
        [str(PROGRAM), *arguments], cwd=cwd, env=environment(variables), capture_output=True, text=True,
        timeout=timeout, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(slots=True)
class Up:
    """A running `opswire up --json` and its ready line."""

    process: "subprocess.Popen[str]"
    ready: dict[str, Any]
    data: Path

    def stop(self, wanted: signal.Signals = signal.SIGTERM, timeout: float = 40.0) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(wanted)
        return self.process.wait(timeout)


@contextmanager
def opswire_up(data: Path, *arguments: str, **variables: str) -> Iterator[Up]:
    """`opswire up --json` on a data folder; ended with the body if that has not done it."""
    with (data.parent / f"{data.name}.err").open("w+") as said:
        process = subprocess.Popen(
            [str(PROGRAM), "up", "--json", "--data", str(data), *arguments], cwd=ROOT, env=environment(variables),
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        try:
            yield Up(process, _ready_line(process, Path(said.name)), data)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


def _ready_line(process: "subprocess.Popen[str]", said: Path) -> dict[str, Any]:
    assert process.stdout is not None
    began = time.monotonic()
    line = process.stdout.readline()
    assert line, f"opswire up ended after {time.monotonic() - began:.1f} s:\n{said.read_text()}"
    ready: dict[str, Any] = json.loads(line)
    return ready
