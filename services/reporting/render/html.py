"""A report as one page that needs nothing else: readable on a phone, in the dark, on paper."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.reporting.render.grid import facts, grids
from services.reporting.reports import Report
from services.reporting.texts import Language

_FOLDER = Path(__file__).parent


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html")


def to_html(report: Report, content: Mapping[str, Any], language: Language) -> bytes:
    """The page."""
    page = _template().render(
        language="zh-CN" if language == "zh" else "en",
        title=f"{getattr(report, language)} {content['period']}",
        facts=facts(content, language),
        grids=grids(report, content, language),
    )
    return page.encode()
