"""What DingTalk, Feishu and WeCom robots share: HTTP 200 whatever happens, and a code in the body that says it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from services.alerts.channels.base import Outcome, Result, by_status


@dataclass(frozen=True, slots=True)
class Codes:
    """`field` holds the code, 0 is success; `busy`: come again after so many seconds; `hints`: what may help."""

    field: str
    busy: Mapping[int, float]
    hints: Mapping[int, str]
    passing: Collection[int] = ()
    """Codes of the target's own trouble: try again."""

    def classify(self, status: int, body: bytes, _headers: Mapping[str, str]) -> Outcome:
        """By the code in the body; an answer without one is not a success."""
        if not 200 <= status < 300:
            return by_status(status)
        code = self._code(body)
        if code == 0:
            return Outcome(Result.SENT)
        if code is None:
            return Outcome(Result.AGAIN, f"no {self.field} in the answer")
        detail = f"{self.field} {code}" + (f": {self.hints[code]}" if code in self.hints else "")
        if code in self.busy:
            return Outcome(Result.AGAIN, detail, self.busy[code])
        return Outcome(Result.AGAIN if code in self.passing else Result.REFUSED, detail)

    def _code(self, body: bytes) -> int | None:
        try:
            answer: Any = json.loads(body)
        except ValueError:
            return None
        code = answer.get(self.field) if isinstance(answer, dict) else None
        return code if isinstance(code, int) and not isinstance(code, bool) else None
