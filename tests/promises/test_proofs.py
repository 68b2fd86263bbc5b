"""The table of promises, tests and twins names what there is."""

import ast
from functools import cache

import pytest

from docs.proofs import PROMISES, RUNS, Proof
from tests.support.guardian import ROOT

TESTS = ROOT / "tests"


@cache
def defined_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
    defined = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in defined if name.startswith("test_"))


def missing(proof: Proof) -> list[str]:
    """What is named and not there."""
    named = (name.split("::") for name in (*proof.tests, *proof.twins))
    return [
        f"{file}::{test}" for file, test in named if not (TESTS / f"{file}.py").exists() or test not in defined_in(file)
    ]


@pytest.mark.parametrize("proof", [*PROMISES, *RUNS], ids=lambda proof: proof.id)
def test_every_promise_has_a_test_and_a_twin_that_exist(proof: Proof) -> None:
    assert missing(proof) == []
    assert proof.tests
    assert bool(proof.twins) != bool(proof.without_twin)


def test_every_promise_of_the_page_is_in_the_table() -> None:
    page = (ROOT / "docs" / "reference" / "promises.md").read_text(encoding="utf-8")
    promised = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| P")]
    assert [proof.id for proof in PROMISES] == promised
    assert [proof.id for proof in RUNS] == [str(n) for n in range(1, 10)]


def test_a_name_that_is_not_there_is_found() -> None:
    assert missing(Proof("x", "", ("promises/test_proofs::test_of_nothing", "nowhere/test_x::test_y"))) == [
        "promises/test_proofs::test_of_nothing", "nowhere/test_x::test_y",
    ]  # fmt: skip
