"""What all streaming peers share: from the first record in hand to the last."""

import json
import sys
from time import perf_counter, process_time

HOUR = len(b"2024-07-01T10")
"""Characters of a time that name its hour."""


class Stopwatch:
    """Call it for each record; `report` prints the rate."""

    def __init__(self) -> None:
        self.count = 0
        self._began = 0.0
        self._cpu = 0.0

    def __call__(self) -> None:
        if not self.count:
            self._began, self._cpu = perf_counter(), process_time()
        self.count += 1

    def report(self) -> None:
        """As JSON on one line, which whoever started the process reads (Faust takes sys.stdout for its log)."""
        seconds, cpu = perf_counter() - self._began, process_time() - self._cpu
        print(
            json.dumps({"per_second": self.count / seconds, "per_core": self.count / cpu}),
            file=sys.__stdout__,
            flush=True,
        )
