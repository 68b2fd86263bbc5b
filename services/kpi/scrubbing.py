"""What a storefront may send by mistake and must not be kept: queries of addresses, personal data in texts (D7, D8)."""

import re
from collections.abc import Callable
from typing import Any

from libs.events.scrub import without_query
from libs.service.privacy import mask_text

Pseudonym = Callable[[str], str]
"""A customer's reference as it may be kept: itself, or a keyed hash where it is a phone number or a mail address."""

_SUSPECT = re.compile(r"[@＠\d０-９](?:.*[\d０-９]){6}|[@＠]", re.DOTALL)
"""Without seven digits or an @ nothing in a text can be personal."""
_REMEMBERED = 32_768
_REMEMBERED_LENGTH = 128


class Scrubber:
    """Cleans traffic events at the door, structs and models alike."""

    def __init__(self, pseudonym: Pseudonym) -> None:
        self._pseudonym = pseudonym
        self._clean: set[str] = set()
        """Paths, sources and devices that were found clean: there are few of them and many events."""

    def scrub(self, event: Any) -> bool:
        """Clean a mutable event in place; whether anything changed."""
        if self._is_known(event):
            return False
        changes = self.changes(event)
        for name, value in changes.items():
            setattr(event, name, value)
        return bool(changes)

    def changes(self, event: Any) -> dict[str, str]:
        """Field -> clean value, of those that are not clean."""
        found: dict[str, str] = {}
        for name, clean in (
            ("customer_id", self._reference),
            ("url_path", _clean_path),
            ("source", clean_text),
            ("device", clean_text),
        ):
            given = getattr(event, name)
            if given is None:
                continue
            if (cleaned := clean(given)) != given:
                found[name] = cleaned
            elif name != "customer_id":
                self._remember(given)
        return found

    def _is_known(self, event: Any) -> bool:
        clean = self._clean
        return (
            event.customer_id is None
            and ((path := event.url_path) is None or path in clean)
            and ((source := event.source) is None or source in clean)
            and ((device := event.device) is None or device in clean)
        )

    def _remember(self, text: str) -> None:
        if len(self._clean) >= _REMEMBERED:
            self._clean.clear()
        if len(text) <= _REMEMBERED_LENGTH and "?" not in text and "#" not in text:
            self._clean.add(text)

    def _reference(self, customer_id: str) -> str:
        return self._pseudonym(customer_id) if _SUSPECT.search(customer_id) else customer_id


def clean_text(text: str) -> str:
    """The text with personal patterns masked."""
    return mask_text(text) if _SUSPECT.search(text) else text


def _clean_path(path: str) -> str:
    """The path without query and fragment, personal patterns masked."""
    return clean_text(without_query(path))
