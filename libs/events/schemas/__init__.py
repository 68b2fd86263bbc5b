"""JSON Schemas of the events, printed from the contracts and committed, one file a type.

They are what consumers in other languages build on, so a change that could break one is refused: it has to be a new
version beside the old one. `breaking_changes` says what would break.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from libs.events.contracts import EVENTS, Event

FOLDER: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BASE_URL: Final = "https://opswire.dev/schemas"

Schema = dict[str, Any]


def path_of(event: type[Event]) -> Path:
    """Where the committed schema of an event lies."""
    return FOLDER / f"{event.TYPE}.json"


def schema_of(event: type[Event]) -> Schema:
    """The JSON Schema of an event's `data`. Fields that it does not name are to be ignored."""
    schema = event.model_json_schema(by_alias=True, schema_generator=_Plain)
    return {"$schema": DIALECT, "$id": f"{BASE_URL}/{event.TYPE}.json", **_plain(schema), "title": event.TYPE}


def committed_schema(event: type[Event]) -> Schema | None:
    """The schema as it was last written; None for a new event."""
    path = path_of(event)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def to_text(document: Any) -> str:
    """JSON as committed files hold it."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


class BreakingChange(Exception):
    """A contract changed in a way that consumers or old events do not survive."""


def write_schemas() -> list[Path]:
    """Write what is new or compatibly changed; the paths written. Raises BreakingChange before anything is written."""
    changed = {event: schema_of(event) for event in EVENTS if committed_schema(event) != schema_of(event)}
    broken = [line for event in changed for line in breaks_of(event)]
    if broken:
        raise BreakingChange("make it a new version beside the old one:\n" + "\n".join(broken))
    for event, schema in changed.items():
        path_of(event).write_text(to_text(schema), encoding="utf-8")
    return [path_of(event) for event in changed]


def breaks_of(event: type[Event]) -> list[str]:
    """What the code would break of the committed schema of an event."""
    committed = committed_schema(event)
    found = [] if committed is None else breaking_changes(committed, schema_of(event))
    return [f"{event.TYPE}{line}" for line in found]


class _Plain(GenerateJsonSchema):
    """Without a title for every field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _plain(node: Any) -> Any:
    """Keys of a map limited by `propertyNames` instead of by the pattern of their values' place."""
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, dict):
        return node
    patterns = node.get("patternProperties")
    if isinstance(patterns, dict) and "properties" not in node:
        ((pattern, values),) = patterns.items()
        node = {key: value for key, value in node.items() if key != "patternProperties"}
        node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
    return {key: _plain(value) for key, value in node.items()}


# What breaks

_SAME: Final = ("type", "default", "const", "format", "pattern", "$ref", "additionalProperties", "propertyNames")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What is not compatible, one line each, with the place.

    Old events must still be read, and consumers that were built on the old schema must survive new events. Compatible
    are: a further optional field, wider limits, other words.
    """
    return list(_compare(old, new, ""))


def _compare(old: Any, new: Any, at: str) -> Iterator[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield f"{at}: {old!r} became {new!r}"
        return
    yield from _compare_words(old, new, at)
    yield from _compare_limits(old, new, at)
    yield from _compare_fields(old, new, at)
    yield from _compare_parts(old, new, at)


def _compare_words(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for word in _SAME:
        before, after = old.get(word), new.get(word)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare(before, after, f"{at}/{word}")
        elif before != after:
            yield f"{at}: {word} {before!r} became {after!r}"
    if set(old.get("enum", ())) != set(new.get("enum", ())):
        yield f"{at}: the values {old.get('enum')} became {new.get('enum')}"


def _compare_limits(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for words, sign in ((_UPPER, 1), (_LOWER, -1)):
        for word in words:
            if word in new and (word not in old or sign * new[word] < sign * old[word]):
                yield f"{at}: {word} {old.get(word)} became {new[word]}"


def _compare_fields(old: Schema, new: Schema, at: str) -> Iterator[str]:
    fields, now = old.get("properties", {}), new.get("properties", {})
    required, now_required = set(old.get("required", ())), set(new.get("required", ()))
    yield from (f"{at}/{name}: removed" for name in fields if name not in now)
    yield from (f"{at}/{name}: became required" for name in sorted(now_required - required))
    yield from (f"{at}/{name}: became optional" for name in sorted(required - now_required) if name in now)
    for name in fields.keys() & now.keys():
        yield from _compare(fields[name], now[name], f"{at}/{name}")


def _compare_parts(old: Schema, new: Schema, at: str) -> Iterator[str]:
    if ("items" in old) != ("items" in new):
        yield f"{at}: items changed"
    elif "items" in old:
        yield from _compare(old["items"], new["items"], f"{at}/items")
    yield from _compare_named(old.get("$defs", {}), new.get("$defs", {}), f"{at}/$defs")
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    if len(before) != len(after):
        yield f"{at}: {len(before)} alternatives became {len(after)}"
        return
    for n, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from _compare(one, other, f"{at}/anyOf/{n}")


def _compare_named(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for name in old:
        if name not in new:
            yield f"{at}/{name}: removed"
        else:
            yield from _compare(old[name], new[name], f"{at}/{name}")
