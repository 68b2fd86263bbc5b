"""A report in its four shapes, all from one content: JSON, page, spreadsheet, CSV."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from libs.events import strict_json
from services.reporting import texts
from services.reporting.render.csv import to_csv
from services.reporting.render.html import to_html
from services.reporting.render.xlsx import to_xlsx
from services.reporting.reports import Report
from services.reporting.texts import Language


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of a report: extension, media type, and how it is drawn."""

    extension: str
    media_type: str
    render: Callable[[Report, Mapping[str, Any], Language], bytes]


def to_json(report: Report, content: Mapping[str, Any], language: Language) -> bytes:
    """The JSON shape."""
    return strict_json.dumps(texts.localized(report, content, language))


SHAPES: Mapping[str, Shape] = {
    shape.extension: shape
    for shape in (
        Shape("json", "application/json", to_json),
        Shape("html", "text/html; charset=utf-8", to_html),
        Shape("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", to_xlsx),
        Shape("csv", "text/csv; charset=utf-8", to_csv),
    )
}
