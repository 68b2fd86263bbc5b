"""The machine that measures: what it is, and what others do on it meanwhile."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil


def describe() -> dict[str, Any]:
    """Processor, memory, system and the versions that decide figures."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cpu_seconds(pid: int) -> float:
    """What a process and its living children have used, and the dead ones it has waited for."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in family:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(slots=True)
class Neighbours:
    """How many cores were busy with what is not ours since it was made: who shares the machine blurs the figures."""

    began: float
    busy: float
    own: float

    @classmethod
    def watch(cls) -> "Neighbours":
        return cls(monotonic(), _busy_seconds(), cpu_seconds(os.getpid()))

    def cores(self) -> float:
        """The average so far, never under 0."""
        seconds = monotonic() - self.began
        others = (_busy_seconds() - self.busy) - (cpu_seconds(os.getpid()) - self.own)
        return max(0.0, others / seconds) if seconds else 0.0


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    busy = times.user + times.system
    if sys.platform == "linux":
        busy += times.nice + times.irq + times.softirq + times.steal
    return float(busy)
