"""The catalogue of alert rules: what each listens to, when it fires and recovers, its numbers and its words.

A new rule is one entry in the file of its matter. Schema, settings, answers and `docs/reference/rules.md` follow.
"""

from collections.abc import Mapping

from services.alerts.rules import figures, orders, planning, running, service, stock
from services.alerts.rules.figures import CONVERSION_BELOW_TARGET, WINDOWS
from services.alerts.rules.running import MANUAL
from services.alerts.rules.shapes import (
    SCOPES,
    SHAPES,
    About,
    Comparison,
    Deadline,
    Edge,
    Level,
    Measures,
    Numbers,
    PlanCheck,
    Role,
    Rule,
    Seen,
    Severity,
    Verdict,
    WindowRatio,
)
from services.alerts.rules.stock import LOW_STOCK, SOLD_OUT

RULES: tuple[Rule, ...] = (
    *stock.RULES,
    *orders.RULES,
    *service.RULES,
    *figures.RULES,
    *planning.RULES,
    *running.RULES,
)
RULE: Mapping[str, Rule] = {rule.id: rule for rule in RULES}
EDGES: tuple[Edge, ...] = tuple(rule for rule in RULES if isinstance(rule, Edge))

__all__ = [
    "CONVERSION_BELOW_TARGET",
    "EDGES",
    "LOW_STOCK",
    "MANUAL",
    "RULE",
    "RULES",
    "SCOPES",
    "SHAPES",
    "SOLD_OUT",
    "WINDOWS",
    "About",
    "Comparison",
    "Deadline",
    "Edge",
    "Level",
    "Measures",
    "Numbers",
    "PlanCheck",
    "Role",
    "Rule",
    "Seen",
    "Severity",
    "Verdict",
    "WindowRatio",
]
