"""Results as text: a table for the terminal, tables in Markdown for the page."""

from collections.abc import Iterable, Sequence

from bench.claims import Claim, Verdict
from bench.series import Series

COLUMNS = ("what", "opswire", "beside it", "figure", "ratio", "verdict")
Row = tuple[str, ...]


def number(value: float) -> str:
    """Three digits that matter, thousands parted by commas."""
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def figure(series: Series, unit: str) -> str:
    """The median with its unit, and how far the rounds lay apart."""
    return f"{number(series.median)} {unit} ({number(series.low)} to {number(series.high)})"


def rows_of(claim: Claim) -> list[Row]:
    """One row a series beside ours; a goal stands with the series it compares with, else in the first row."""
    verdicts = claim.verdicts()
    own = "; ".join(verdict_text(v) for v in verdicts if v.goal.against is None)
    what = claim.name if claim.ours.name == "opswire" else f"{claim.name}: {claim.ours.name}"
    first = (what, figure(claim.ours, claim.unit))
    if not claim.beside:
        return [(*first, "", "", "", own)]
    rows: list[Row] = []
    for n, series in enumerate(claim.beside):
        said = "; ".join(verdict_text(v) for v in verdicts if v.goal.against == series.name)
        left = first if n == 0 else ("", "")
        verdict = "; ".join(part for part in (own if n == 0 else "", said) if part)
        share = f"{number(claim.ratio_to(series.name))}x"
        rows.append((*left, series.name, f"{number(series.median)} {claim.unit}", share, verdict))
    return rows


def verdict_text(verdict: Verdict) -> str:
    """Goal and outcome in a few words."""
    return f"{'met' if verdict.met else 'NOT MET'}: {verdict.goal.text}"


def text_table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Columns padded for a terminal."""
    lines = [tuple(columns), *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([padded[0], "-" * min(160, sum(widths) + 2 * len(widths)), *padded[1:]])


def markdown_table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A table in Markdown; cells must not break it."""
    body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *body])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
