"""The guides say what is true: every command of theirs is run as it stands."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.command import PROGRAM, environment
from tests.support.guardian import ROOT
from tests.support.services import Platform, running_services

GUIDES = ("storefront.md", "erp.md")
NEEDED = ("bash", "curl", "python3", "iconv")

_BLOCK = re.compile(r"(?:<!-- answers: (\d{3}) -->\n)?```sh\n(.*?)```", re.DOTALL)
_WATCHED = """
curl() {
  local status
  status=$(command curl -sS -o "$ANSWER" -w '%{http_code}' "$@") || return 1
  cat "$ANSWER"
  if [ "$status" != "${EXPECTED:-$status}" ] || { [ -z "${EXPECTED:-}" ] && [ "${status:0:1}" != 2 ]; }; then
    echo "answered $status: curl $*" >&2
    return 1
  fi
}
"""
"""What stands in for curl: the same call, which fails when the answer is not the one that the guide promises."""


def script_of(guide: str) -> str:
    """All commands of a guide, in order, with what they are to be answered."""
    text = (ROOT / "docs" / "guides" / guide).read_text(encoding="utf-8")
    found = dict.fromkeys(_BLOCK.findall(text))  # what both languages say alike is run once
    blocks = [f"EXPECTED={status}\n{commands}" for status, commands in found]
    assert len(blocks) >= 10, "the guide has lost its commands"
    return "set -euo pipefail\n" + _WATCHED + "\n".join(blocks)


@pytest.fixture(scope="module")
async def platform(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_services(database, "orders", "inventory", "kpi", logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.parametrize("guide", GUIDES)
async def test_every_command_of_the_guide_does_what_it_says(
    platform: Platform, database: str, tmp_path: Path, guide: str
) -> None:
    addresses = {name.upper(): platform.topology.url(name) for name in ("orders", "inventory", "kpi")}
    given = environment(
        {
            "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
            "OPSWIRE_DATABASE_URL": database,
            "ANSWER": str(tmp_path / "answer"),
            **{f"OPSWIRE_{name}_URL": url for name, url in addresses.items()},
            **addresses,
        }
    )
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", script_of(guide)],
        cwd=tmp_path,
        env=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stderr[-2000:]}\n{done.stdout[-2000:]}"
