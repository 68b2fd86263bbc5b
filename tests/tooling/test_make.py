"""`make`, the broker and the locked requirements, from outside."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_make_alone_lists_what_it_can_do() -> None:
    done = make()
    assert done.returncode == 0
    for target in ("setup", "demo", "up", "test", "soak", "check", "bench", "kafka", "docs", "examples", "clean"):
        assert f"make {target} " in done.stdout


def test_every_target_tells_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = text.split(".PHONY:", 1)[1].splitlines()[0].split()
    assert [target for target in phony if f"\n{target}:" in text and f"make {target} " not in make().stdout] == []


def test_an_old_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/find-python")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "3.11" in done.stderr


@pytest.mark.usefixtures("kafka")
def test_make_kafka_prints_its_address_alone_and_ends_on_sigterm() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_DATA"}
    broker = subprocess.Popen(
        ["make", "--no-print-directory", "kafka", "ARGS=--port 0"], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert broker.stdout is not None
    try:
        host, port = broker.stdout.readline().strip().split(":")
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        broker.send_signal(signal.SIGTERM)
        rest = broker.stdout.read()
        broker.wait(20)
    finally:
        broker.stdout.close()
        broker.kill()
    assert host == "127.0.0.1"
    assert rest == ""
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
