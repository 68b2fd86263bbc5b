#!/usr/bin/env python3
"""Run one real Apache Kafka broker in the foreground on loopback, without Docker.

Needs Java 17, and Maven the first time.

Prints `127.0.0.1:PORT` on stdout when clients can connect, nothing else; the broker's own log goes to stderr.
SIGTERM or Ctrl-C ends it. The log lives in a temporary folder, or in KAFKA_DATA (or --data) where it is kept.
The port is --port, else KAFKA_PORT, else that of the kept folder, else 9092, else any free one.

Standard library only: it runs before anything is installed.
"""

import argparse
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
LIBS = HERE / "libs"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


class CannotRun(Exception):
    """The broker cannot run here; the message says what to do."""


def main() -> int:
    arguments = parse_arguments()
    try:
        require("java", "install a Java 17 runtime (Debian: apt-get install openjdk-17-jre-headless)")
        ensure_jars()
        if arguments.jars_only:
            return 0
        with data_folder(arguments.data) as folder:
            return serve(folder, arguments.port)
    except CannotRun as problem:
        print(f"kafka: {problem}", file=sys.stderr)
        return 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run one Apache Kafka broker on loopback.")
    parser.add_argument("--data", type=Path, default=os.environ.get("KAFKA_DATA") or None, help="folder that is kept")
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT") or -1), help="0: any free port")
    parser.add_argument("--jars-only", action="store_true", help="fetch the jars and end")
    return parser.parse_args()


def require(program: str, fix: str) -> None:
    if shutil.which(program) is None:
        raise CannotRun(f"{program} was not found; {fix}")


def ensure_jars() -> None:
    """Have Maven copy the jars to libs/, once for each version of pom.xml; parallel calls wait for the first."""
    wanted = hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()
    stamp = LIBS / ".pom"
    with (HERE / ".libs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        require("mvn", "install Maven to fetch the jars once (Debian: apt-get install maven)")
        shutil.rmtree(LIBS, ignore_errors=True)
        copy_jars()
        stamp.write_text(wanted)


def copy_jars() -> None:
    print("kafka: fetching the jars with Maven (once, 43 MB) ...", file=sys.stderr)
    command = [
        "mvn",
        "-q",
        "-B",
        "-f",
        str(HERE / "pom.xml"),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={LIBS}",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if done.returncode:
        raise CannotRun(f"Maven could not fetch the jars (exit code {done.returncode}); see its output above")


@contextlib.contextmanager
def data_folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="opswire-kafka-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def serve(folder: Path, wanted_port: int) -> int:
    port, controller_port = choose_ports(folder, wanted_port)
    config = write_config(folder, port, controller_port)
    format_storage(folder, config)
    broker = start_broker(config)
    stop_with_me(broker)
    if not wait_until_listening(broker, port):
        stop(broker)
        raise CannotRun(f"the broker was not ready within {READY_SECONDS:.0f} s; its log is above")
    print(f"127.0.0.1:{port}", flush=True)
    broker.wait()
    return 0 if stopping else 1


def choose_ports(folder: Path, wanted: int) -> tuple[int, int]:
    """The broker's and the controller's port; a kept folder keeps its ports, so that clients find it again."""
    kept_file = folder / "ports"
    kept = [int(part) for part in kept_file.read_text().split()] if kept_file.exists() else [0, 0]
    candidates = [wanted] if wanted > 0 else [kept[0]] if wanted == 0 else [kept[0], 9092]
    port = next((candidate for candidate in candidates if candidate and is_free(candidate)), 0) or free_port()
    if wanted > 0 and port != wanted:
        raise CannotRun(f"port {wanted} is taken; name another by --port or KAFKA_PORT")
    controller_port = kept[1] if kept[1] and is_free(kept[1]) else free_port()
    kept_file.write_text(f"{port} {controller_port}")
    return port, controller_port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(folder: Path, port: int, controller_port: int) -> Path:
    template = string.Template((HERE / "server.properties").read_text())
    config = folder / "server.properties"
    config.write_text(template.substitute(port=port, controller_port=controller_port, data=folder / "log"))
    return config


def format_storage(folder: Path, config: Path) -> None:
    if (folder / "log" / "meta.properties").exists():
        return
    command = java_command("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id(), "-c", str(config))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"the data folder {folder} could not be formatted:\n{done.stdout}{done.stderr}")


def cluster_id() -> str:
    """A random id in Kafka's notation: 16 bytes in base64url without padding."""
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def java_command(main_class: str, *arguments: str) -> list[str]:
    return [
        "java", "-Xms128m", "-Xmx512m", f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
        "-cp", f"{LIBS}/*", main_class, *arguments,
    ]  # fmt: skip


def start_broker(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        java_command("kafka.Kafka", str(config)), stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True,
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
    )  # fmt: skip


def end_with_parent() -> None:
    """The kernel ends the broker when this runner is killed."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)


stopping = False


def stop_with_me(broker: subprocess.Popen[bytes]) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        global stopping
        stopping = True
        broker.terminate()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def stop(broker: subprocess.Popen[bytes]) -> None:
    broker.terminate()
    try:
        broker.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        broker.kill()


def wait_until_listening(broker: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and broker.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main())
