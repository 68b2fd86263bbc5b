"""Kafka Streams, exactly once, one stream thread: views by hour and channel, repeats removed by id, stores in memory.

`python -m bench.peers.kafka_streams_table BOOTSTRAP TOPIC COUNT`. Needs a JDK (Java 17), and Maven the first time.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "kafka_streams"
BUILT = Path(__file__).parents[2] / "var" / "bench" / "kafka_streams"
BUILD_SECONDS = 300


class CannotRun(Exception):
    """The peer does not run here; the message says why."""


def main(arguments: list[str]) -> None:
    """Become the JVM, which prints its figures."""
    try:
        build()
    except CannotRun as problem:
        sys.exit(str(problem))
    os.execvp("java", ["java", "-Xmx1g", "-cp", f"{BUILT}{os.pathsep}{BUILT}/*", "ViewsByHour", *arguments])


def build() -> None:
    """Copy the jars and compile, unless the source is older than what is there. Raises CannotRun."""
    made, newest = BUILT / "ViewsByHour.class", max(path.stat().st_mtime for path in SOURCE.iterdir())
    if made.exists() and made.stat().st_mtime > newest:
        return
    for program in ("javac", "mvn"):
        if not shutil.which(program):
            raise CannotRun(f"{program} is missing")
    BUILT.mkdir(parents=True, exist_ok=True)
    _run("mvn", "-q", "-B", "-f", str(SOURCE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={BUILT}")
    _run("javac", "-cp", f"{BUILT}/*", "-d", str(BUILT), str(SOURCE / "ViewsByHour.java"))


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=BUILD_SECONDS)
    except subprocess.SubprocessError as problem:
        raise CannotRun(f"{command[0]}: {problem}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
