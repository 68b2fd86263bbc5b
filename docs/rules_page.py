"""`docs/reference/rules.md`, printed from the catalogue: every alert rule with its numbers and its words."""

from collections.abc import Iterable

from services.alerts.rulebook import POLICY_NUMBERS
from services.alerts.rules import RULES, SHAPES, PlanCheck, Rule

INTRODUCTION = """\
Each rule has default numbers, which `PUT /v1/rules/{id}` changes for the whole store or for a part of it (a category, a
channel, a campaign, a SKU; the most particular wins), from a time on. `POST /v1/rules/{id}/replay` says when a rule, or
it with other numbers, would have fired, and how that agrees with the incidents' records.

Shapes: an *edge* fires on one event and ends on another; a *deadline* fires when its topic is known to be complete
beyond it; a *window* is a measured alarm window (1, 3, 6, 12 or 24 hours, the first with enough traffic) against the
target or what is usual at this hour (median of the same weekday and hour of 4 weeks, else of the last 7 days, else the
target), with a minimum sample and a Poisson probability under 1 %, and ends after two clear windows in a row above the
threshold plus a tenth of the drop; a *comparison* holds figures against each other; a *check* looks at plans and texts.
Alerts of one matter about one thing are one incident. While a topic is late or silent, `data_missing` is raised instead
of any figure that fell."""


def page() -> str:
    """The page without its heading."""
    header = ("id", "keeps", "severity", "role", "shape", "numbers", "can be set by", "matter", "text", "文案")
    return "\n\n".join([INTRODUCTION, _table(header, map(_row, RULES)), _policies()])


def _row(rule: Rule) -> list[str]:
    numbers = [f"{name} {value:g}" for name, value in rule.parameters.items()]
    if isinstance(rule, PlanCheck) and rule.words:
        numbers.append(f"{len(rule.words)} words")
    shown = [rule.severity.value, rule.role.value, SHAPES[type(rule)], ", ".join(numbers), ", ".join(rule.scopes)]
    return [f"`{rule.id}`", rule.source, *shown, rule.matter, rule.en, rule.zh]


def _policies() -> str:
    rows = [[f"`{rule}`", name, f"`{kind}`"] for rule, (name, kind) in POLICY_NUMBERS.items()]
    text = "Numbers that a policy of the store (`PUT /v1/policies/{kind}`) gives where the rule itself was not set:"
    return f"{text}\n\n{_table(('rule', 'number', 'policy'), rows)}"


def _table(header: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
