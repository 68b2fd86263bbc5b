"""The peers' own environment, apart from the product's: made by the first run that needs it."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
INSTALL_SECONDS = 300.0


@dataclass
class PeerPackages:
    """`python` is an interpreter with the packages of bench/requirements.txt; None, with the reason, where they cannot
    be installed.
    """

    folder: Path
    reason: str = ""
    _checked: bool = False

    @property
    def python(self) -> str | None:
        if not self._checked:
            self._checked = True
            try:
                self._ensure()
            except (OSError, subprocess.SubprocessError) as problem:
                self.reason = f"bench/requirements.txt could not be installed ({type(problem).__name__})"
        return None if self.reason else str(self._interpreter)

    @property
    def _interpreter(self) -> Path:
        return self.folder / "bin" / "python"

    def _ensure(self) -> None:
        stamp, wanted = self.folder / ".installed", hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print("installing the peers of bench/requirements.txt (once) ...", file=sys.stderr)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", "--clear", str(self.folder)])
        _run([str(self._interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
              "--require-hashes", "-r", str(REQUIREMENTS)])  # fmt: skip
        stamp.write_text(wanted)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=INSTALL_SECONDS)
