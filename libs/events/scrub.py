"""What the contracts mark as free text or as a reference to a person, cleaned at the door (D7, D8).

The marks are in the contracts; how a reference is replaced and a text masked is the caller's (`libs.service.privacy`).
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, TypeVar, get_args

from pydantic.fields import FieldInfo

from libs.events.contracts.base import FreeText, PersonReference, Value

V = TypeVar("V", bound=Value)
Clean = Callable[[str], str]

PATH_FIELD: Final = "url_path"


def scrubbed(value: V, *, reference: Clean, text: Clean) -> V:
    """The event as it may go to the bus: references and free texts cleaned, in its parts too, the path without query.

    Free JSON (figures, policies) has no marks inside; its owner keeps it clean.
    """
    changes: dict[str, Any] = {}
    for name, kind in _marked(type(value)):
        given = getattr(value, name)
        if given is not None and (clean := _clean(given, kind, reference, text)) != given:
            changes[name] = clean
    return value.model_copy(update=changes) if changes else value


def without_query(url_path: str) -> str:
    """The path alone, without query and fragment."""
    return url_path.partition("?")[0].partition("#")[0] or "/"


def _clean(given: Any, kind: object, reference: Clean, text: Clean) -> Any:
    if kind is PersonReference:
        return reference(given)
    if kind is FreeText:
        return text(given)
    if kind is PATH_FIELD:
        return text(without_query(given))
    if isinstance(given, tuple):
        return tuple(scrubbed(part, reference=reference, text=text) for part in given)
    return scrubbed(given, reference=reference, text=text)


@cache
def _marked(model: type[Value]) -> tuple[tuple[str, object], ...]:
    """The fields to look at, each with what it is: a reference, a text, the path, or a part with such fields."""
    kinds = ((name, _kind(name, info)) for name, info in model.model_fields.items())
    return tuple((name, kind) for name, kind in kinds if kind is not None)


def _kind(name: str, info: FieldInfo) -> object:
    if name == PATH_FIELD:
        return PATH_FIELD
    for part in (*_parts(info.annotation), *info.metadata):
        if isinstance(part, PersonReference | FreeText):
            return type(part)
        if isinstance(part, type) and issubclass(part, Value) and _marked(part):
            return Value
    return None


def _parts(annotation: Any) -> Iterator[Any]:
    """Everything an annotation is made of: types and marks, however deep."""
    yield annotation
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _parts(part)
