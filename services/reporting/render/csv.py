"""A report as CSV: UTF-8 with a byte-order mark, so that spreadsheets read Chinese."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from services.reporting.render.grid import grids
from services.reporting.reports import Report
from services.reporting.texts import Language

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(report: Report, content: Mapping[str, Any], language: Language) -> bytes:
    """The template's table, then each section under its title."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for n, grid in enumerate(grids(report, content, language)):
        if n:
            writer.writerow([])
            writer.writerow([harmless(grid.title)])
        writer.writerow([harmless(name) for name in grid.columns])
        writer.writerows([[harmless(cell) for cell in row] for row in grid.rows])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula; numbers with a sign stay numbers."""
    if cell.startswith(_FORMULA_STARTS) and not _is_number(cell):
        return "'" + cell
    return cell


def _is_number(cell: str) -> bool:
    bare = cell.lstrip("+-").rstrip("%")
    return cell == "-" or bare.replace(".", "", 1).isdecimal()
