"""A Kafka broker that a test may kill."""

import contextlib
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.guardian import spawn_kafka


@dataclass(slots=True)
class OwnBroker:
    """`deploy/kafka/run.py` on a folder that outlives the process; a restart keeps address and records."""

    folder: Path
    address: str = ""
    _process: "subprocess.Popen[str] | None" = None

    def start(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "broker.log").open("ab") as log:
            self._process = spawn_kafka(self.folder, log.fileno())
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, (self.folder / "broker.log").read_text()[-2000:]
        return self.address

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9` of the broker itself."""
        if self._process is not None:
            for java in psutil.Process(self._process.pid).children():
                java.kill()
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it neither answers nor closes its connections."""
        self._signal_java(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_java(signal.SIGCONT)

    def _signal_java(self, wanted: signal.Signals) -> None:
        assert self._process is not None
        for java in psutil.Process(self._process.pid).children():
            java.send_signal(wanted)

    def _end(self, wanted: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(wanted)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
