"""Versions on the wire: `ETag` and `If-Match` (D48)."""

from libs.service.errors import PreconditionRequired, Stale


def etag_of(version: int | str) -> str:
    """A strong entity tag."""
    return f'"{version}"'


def tags_in(header: str) -> list[str]:
    """The entity tags of an `If-Match` or `If-None-Match` header, weak marks taken off."""
    return [part.strip().removeprefix("W/") for part in header.split(",") if part.strip()]


def require_match(header: str | None, present: int | str, *, required: bool = False) -> None:
    """Pass when `If-Match` names the present version. Raises Stale; PreconditionRequired if `required` and missing."""
    if header is None:
        if required:
            raise PreconditionRequired("send If-Match with the ETag of the version that you change")
        return
    tags = tags_in(header)
    if "*" not in tags and etag_of(present) not in tags:
        raise Stale("it was changed since you read it", present=etag_of(present))
