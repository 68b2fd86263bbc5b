"""A report as a spreadsheet: numbers as numbers, no formulas, no links."""

import io
from collections.abc import Mapping
from typing import Any

import xlsxwriter

from services.reporting.render.grid import Grid, facts, grids
from services.reporting.reports import Report
from services.reporting.texts import Language

_OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
COLUMN_WIDTH = 20


def to_xlsx(report: Report, content: Mapping[str, Any], language: Language) -> bytes:
    """One sheet: the facts, the template's table, then the sections."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, _OPTIONS)
    sheet = book.add_worksheet(getattr(report, language)[:31])
    bold = book.add_format({"bold": True})
    heading = book.add_format({"bold": True, "font_size": 13})
    sheet.set_column(0, len(report.columns) - 1, COLUMN_WIDTH)
    line = 0
    for name, value in facts(content, language):
        sheet.write_string(line, 0, name, bold)
        sheet.write_string(line, 1, value)
        line += 1
    for grid in grids(report, content, language):
        line = _write(sheet, line + 1, grid, heading, bold)
    book.close()
    return out.getvalue()


def _write(sheet: Any, line: int, grid: Grid, heading: Any, bold: Any) -> int:
    """Write a grid from `line` on; the line after it is returned."""
    sheet.write_string(line, 0, grid.title, heading)
    for n, name in enumerate(grid.columns):
        sheet.write_string(line + 1, n, name, bold)
    for m, row in enumerate(grid.rows):
        for n, cell in enumerate(row):
            _write_cell(sheet, line + 2 + m, n, cell, numeric=grid.numeric[n])
    return line + 2 + len(grid.rows)


def _write_cell(sheet: Any, line: int, column: int, cell: str, *, numeric: bool) -> None:
    if numeric and cell.replace(".", "", 1).lstrip("-").isdecimal():
        sheet.write_number(line, column, float(cell))
    else:
        sheet.write_string(line, column, cell)
