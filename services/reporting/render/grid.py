"""The report as tables of plain texts: what page, spreadsheet and CSV have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.reporting import texts
from services.reporting.reports import Report
from services.reporting.texts import Language


@dataclass(frozen=True, slots=True)
class Grid:
    """A heading, column names, and rows of texts; `numeric` says which columns are set flush right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]


NUMERIC_COLUMNS = frozenset({"uv", "pv", "orders", "conversion", "aov"})


def grids(report: Report, content: Mapping[str, Any], language: Language) -> list[Grid]:
    """The template's table first, then one table a section."""
    main = Grid(
        title=getattr(report, language),
        columns=[getattr(column, language) for column in report.columns],
        rows=[[texts.row_texts(row, language)[c.id] for c in report.columns] for row in content["rows"]],
        numeric=[column.id in NUMERIC_COLUMNS for column in report.columns],
    )
    return [main, *(_section(report, section, language) for section in content["sections"])]


def _section(report: Report, section: Mapping[str, Any], language: Language) -> Grid:
    known = next(s for s in report.sections if s.id == section["id"])
    figures = {figure.kpi: figure for figure in known.figures}
    names = ("figure", "value", "target", "previous", "change")
    return Grid(
        title=getattr(known, language),
        columns=[texts.word(name, language) for name in names],
        rows=[
            [
                getattr(figures[line["kpi"]], language),
                *(texts.figure_text(figures[line["kpi"]], line[name]) for name in ("value", "target", "previous")),
                texts.change_text(line["change"]),
            ]
            for line in section["figures"]
        ],
        numeric=[False, True, True, True, True],
    )


def facts(content: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """What stands above the tables: store, edition, publishing time, completeness."""
    edition = content["edition"]
    complete = texts.word("complete" if content["complete"] else "incomplete", language)
    missing = ", ".join(content["missing"])
    return [
        (texts.word("store", language), content["store"]),
        (texts.word("edition", language), str(edition) if edition else texts.word("live", language)),
        (texts.word("published", language), content["published_at"] or "-"),
        (complete, f"{texts.word('missing', language)}: {missing}" if missing else "✓"),
    ]
