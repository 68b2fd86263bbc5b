"""What can be wrong with a call, by class; `problems.py` turns each into one RFC 9457 answer.

Standard library only, so that pure decisions may raise them too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


def fault(pointer: str, code: str, message: str, **more: Any) -> dict[str, Any]:
    """One entry of a problem's `errors`: `pointer` is RFC 6901 into the body (a query parameter: its name)."""
    return {"pointer": pointer, "code": code, "message": message, **more}


class Problem(Exception):
    """A call that is refused. `detail` is told to the caller: never put a secret or a person's data into it."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    kept: ClassVar[bool] = False
    """Whether a repeat of the call gets this answer again (D2)."""

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        """`members` are further members of the problem document, such as `state` and `possible`."""
        super().__init__(detail or self.code)
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})
        self.members = members


class InvalidBody(Problem):
    """The body cannot be read as what its content type says."""

    status, code = 400, "invalid_json"


class InvalidRequest(Problem):
    """What came is no HTTP request."""

    status, code = 400, "invalid_request"


class HeadTooLarge(Problem):
    """More address and headers than any call needs."""

    status, code = 431, "head_too_large"


class Unauthenticated(Problem):
    """No key, or none that is good at this time."""

    status, code = 401, "unauthenticated"

    def __init__(self, detail: str = "a valid key is needed", **members: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **members)


class Forbidden(Problem):
    """A good key without the right."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """No such thing, or another store's: the caller cannot tell which."""

    status, code = 404, "not_found"


class MethodNotAllowed(Problem):
    """The address exists, the method does not (D60)."""

    status, code = 405, "method_not_allowed"


class BodyTimeout(Problem):
    """The body did not arrive in time."""

    status, code = 408, "timeout"


class Conflict(Problem):
    """A natural id is taken by something else (D2)."""

    status, code = 409, "conflict"


class OutOfStock(Problem):
    """Not every line can be held; `errors` name each short SKU with `wanted` and `available`."""

    status, code, kept = 409, "out_of_stock", True


class WrongState(Problem):
    """A step out of order (ORD-7)."""

    status, code, kept = 409, "wrong_state", True

    def __init__(self, state: str, possible: Sequence[str], detail: str = "", **members: Any) -> None:
        """`state` is where the thing is, `possible` the steps that it allows from there."""
        steps = ", ".join(possible) or "nothing"
        super().__init__(
            detail or f"the state is {state}; possible from it: {steps}",
            state=state,
            possible=list(possible),
            **members,
        )


class InProgress(Problem):
    """The first call with this key is still running."""

    status, code = 409, "in_progress"

    def __init__(self, detail: str = "the first call with this key is still running", **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": "1"}, **members)


class Stale(Problem):
    """`If-Match` names another version than the present one."""

    status, code = 412, "stale"


class TooLarge(Problem):
    """The body, or the batch in it, is over its limit."""

    status, code = 413, "too_large"


class UnsupportedMedia(Problem):
    """The content type is none that this address takes."""

    status, code = 415, "unsupported_media"


class Validation(Problem):
    """Well-formed, but not something that can be accepted; `errors` says where."""

    status, code, kept = 422, "validation", True


class IdempotencyMismatch(Problem):
    """The same `Idempotency-Key` with another body."""

    status, code = 422, "idempotency_mismatch"


class TooManyPoints(Problem):
    """A series of more points than one answer holds (D32)."""

    status, code, kept = 422, "too_many_points", True


class PreconditionRequired(Problem):
    """`If-Match` is needed here (D48)."""

    status, code = 428, "precondition_required"


class RateLimited(Problem):
    """Too many calls by this key."""

    status, code = 429, "rate_limited"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **members)


class Internal(Problem):
    """Our own fault; the log has the reason under the request id, the answer has not."""


class Overloaded(Problem):
    """Refused for now: too much work, or something needed is away. The same call may be repeated."""

    status, code = 503, "overloaded"

    def __init__(self, detail: str = "try again", *, retry_after_seconds: int = 1, **members: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **members)
