"""The contract as a msgspec struct for the front door: it accepts exactly what the pydantic model accepts.

Pydantic models are the one description of an event. Where events come in by the thousand, a struct made from the model,
limits and patterns included, decodes five times as fast; `tests/events/test_exact.py` holds both to one corpus.
`lean.py` is for consumers, which need not check again.
"""

import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union

import annotated_types
import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from libs.events.contracts.base import FreeText, PersonReference


class NotDerivable(TypeError):
    """The model uses something that has no exact counterpart in msgspec."""


def exact(
    model: type[BaseModel],
    *,
    before: Mapping[str, Any] | None = None,
    tag: str | None = None,
    any_characters: bool = False,
) -> type[msgspec.Struct]:
    """A struct with the model's fields, unknown ones refused; what has its default is left out when written.

    `before` are further fields in front of them, name -> type, UNSET where they are missing. `tag` makes it a member of
    a union told apart by `type`. Validators after the model run on the struct too. With `any_characters` patterns that
    name one class of characters only give their lengths: the caller looks at the characters of a whole batch at once
    (`character_classes`). Raises NotDerivable.
    """
    if any(info.alias for info in model.model_fields.values()):
        raise NotDerivable(f"{model.__name__} has aliases")
    extra = [(name, kind | msgspec.UnsetType, msgspec.UNSET) for name, kind in (before or {}).items()]
    return msgspec.defstruct(
        model.__name__,
        [*extra, *(_field(name, info, any_characters) for name, info in model.model_fields.items())],
        namespace=_after(model),
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
        tag_field="type" if tag else None,
        tag=tag,
        gc=False,
    )


def character_classes(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the class of characters that its text may be made of, such as `A-Za-z0-9._:-` or `^\\x00-\\x1f\\x7f`."""
    found = {}
    for name, info in model.model_fields.items():
        for part in _metadata(info):
            if match := _ONE_CLASS.fullmatch(getattr(part, "pattern", None) or ""):
                found[name] = match[1]
    return found


def _metadata(info: FieldInfo) -> Iterator[Any]:
    """Everything said about a field's own value, however deep in its annotation."""
    pending: list[Any] = [info.annotation, *info.metadata]
    while pending:
        part = pending.pop()
        if isinstance(part, FieldInfo):
            pending += part.metadata
        elif typing.get_origin(part) in (Annotated, Union, UnionType):
            pending += typing.get_args(part)
        else:
            yield part


_ONE_CLASS = re.compile(r"\^\[((?:[^\]\\]|\\.)+)\]\{(\d+),(\d+)\}\$")


def _field(name: str, info: FieldInfo, any_characters: bool) -> Any:
    kind = _bounded(_type(info.annotation, any_characters), info.metadata, any_characters)
    return (name, kind) if info.is_required() else (name, kind, info.get_default())


def _type(kind: Any, any_characters: bool) -> Any:
    """The msgspec type that accepts the same JSON."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        inner, *metadata = typing.get_args(kind)
        return _bounded(_type(inner, any_characters), metadata, any_characters)
    if origin in (Union, UnionType):
        return reduce(or_, (_type(part, any_characters) for part in typing.get_args(kind)))
    if origin is Literal or kind in (str, int, bool, NoneType):
        return kind
    if origin is tuple and typing.get_args(kind)[1:] == (Ellipsis,):
        item: Any = _type(typing.get_args(kind)[0], any_characters)
        return tuple[item, ...]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _nested(kind)
    raise NotDerivable(repr(kind))


@cache
def _nested(model: type[BaseModel]) -> type[msgspec.Struct]:
    return exact(model)


_BOUNDS = {
    annotated_types.Gt: "gt",
    annotated_types.Ge: "ge",
    annotated_types.Lt: "lt",
    annotated_types.Le: "le",
    annotated_types.MinLen: "min_length",
    annotated_types.MaxLen: "max_length",
}


def _bounded(kind: Any, metadata: Collection[Any], any_characters: bool) -> Any:
    """The type with the bounds that pydantic keeps in `metadata`."""
    bounds: dict[str, Any] = {}
    for part in metadata:
        bounds |= _bounds_of(part)
    if any_characters and (match := _ONE_CLASS.fullmatch(bounds.get("pattern", "").replace(r"\Z", "$"))):
        bounds = {"min_length": int(match[2]), "max_length": int(match[3])}
    return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind


def _bounds_of(part: Any) -> dict[str, Any]:
    if isinstance(part, FieldInfo):
        return {name: bound for inner in part.metadata for name, bound in _bounds_of(inner).items()}
    for kind, name in _BOUNDS.items():
        if isinstance(part, kind):
            return {name: getattr(part, name)}
    if (pattern := getattr(part, "pattern", None)) is not None:
        return {"pattern": _whole(pattern)}
    if hasattr(part, "strict") or isinstance(part, FreeText | PersonReference):
        return {}
    raise NotDerivable(repr(part))


def _whole(pattern: str) -> str:
    r"""Rust's `$` is the end of the text; Python's also stands before a last newline, `\Z` does not."""
    return pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern


def _after(model: type[BaseModel]) -> dict[str, Any] | None:
    """`__post_init__` that runs the model's own after-validators; they only read attributes."""
    decorated = model.__pydantic_decorators__.model_validators.values()
    if not decorated:
        return None
    if any(validator.info.mode != "after" for validator in decorated):
        raise NotDerivable(f"{model.__name__} is validated before its fields")
    checks: list[Callable[[Any], Any]] = [validator.func for validator in decorated]

    def check(self: msgspec.Struct) -> None:
        for validate in checks:
            validate(self)

    return {"__post_init__": check}
