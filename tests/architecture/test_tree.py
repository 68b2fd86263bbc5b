"""What must not lie in the repository: addresses of package registries, paths of a workplace, secrets."""

import re
from pathlib import PurePosixPath

import pytest

from tests.architecture.sources import ROOT, files

MOST_BYTES = 2_000_000

REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("repo1", "maven", "org"),
            ("repo", "maven", "apache", "org"),
            ("registry", "npmjs", "org"),
            ("proxy", "golang", "org"),
            ("deb", "debian", "org"),
            ("index", "crates", "io"),
            ("static", "crates", "io"),
        )
    )
)
WORKPLACE = re.compile(
    "|".join((r"(?<![\w.-])/wo" + r"rk/", r"(?<![\w.-])/ro" + r"ot/", r"(?<![\w.-])/ho" + r"me/\w+/"))
)
SECRET = re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----")


def places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}" for name in files() for number, line in enumerate(_lines(name), 1) if pattern.search(line)
    ]


def _lines(name: str) -> list[str]:
    if PurePosixPath(name).suffix in (".png", ".gz", ".jar", ".xlsx", ".woff2"):
        return []
    return (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines()


def test_no_package_registry_is_named() -> None:
    assert places(REGISTRIES) == []


def test_no_path_of_a_workplace_is_named() -> None:
    assert places(WORKPLACE) == []


def test_no_private_key_lies_in_the_tree() -> None:
    assert places(SECRET) == []


def test_no_large_file_lies_in_the_tree() -> None:
    assert [name for name in files() if (ROOT / name).stat().st_size > MOST_BYTES] == []


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_locked_requirement_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    unhashed = [line for line in re.findall(r"^\S+==\S+.*$", text, re.MULTILINE) if not line.rstrip().endswith("\\")]
    assert unhashed == []


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_wanted_requirement_is_locked(name: str) -> None:
    folder = ROOT / "requirements"
    wanted = re.findall(
        r"^([A-Za-z0-9][A-Za-z0-9_-]*)", (folder / f"{name}.in").read_text(encoding="utf-8"), re.MULTILINE
    )
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (folder / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {each.lower().replace("_", "-") for each in wanted} <= {each.lower() for each in locked}
