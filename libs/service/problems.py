"""Errors on the wire: every exception becomes one `application/problem+json` answer (RFC 9457), and none leaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from libs.events.bus import BusUnavailable
from libs.events.failures import Transient, Verdict, decide, sqlstate
from libs.service import errors, wire
from libs.service.errors import Problem, fault
from libs.service.languages import language_of
from libs.service.logging import get_logger

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://opswire.dev/problems/"
GREATEST_ERRORS = 100

TITLES: Mapping[str, tuple[str, str]] = {
    "internal": ("Something went wrong on our side", "服务器内部错误"),
    "invalid_json": ("The body cannot be read", "请求体无法解析"),
    "invalid_request": ("This is no HTTP request", "不是有效的 HTTP 请求"),
    "head_too_large": ("The address and headers are too large", "请求头过大"),
    "unauthenticated": ("A valid key is needed", "需要有效的密钥"),
    "forbidden": ("The key does not allow this", "密钥没有此权限"),
    "not_found": ("There is no such thing", "对象不存在"),
    "method_not_allowed": ("This address does not take this method", "该地址不支持此方法"),
    "timeout": ("The body did not arrive in time", "请求体未及时送达"),
    "conflict": ("It exists with another content", "已存在且内容不同"),
    "out_of_stock": ("Not enough stock", "库存不足"),
    "wrong_state": ("Not possible in the present state", "当前状态不允许此操作"),
    "in_progress": ("The first call is still running", "相同请求正在处理中"),
    "stale": ("It was changed since it was read", "对象已被修改"),
    "too_large": ("The body is too large", "请求体过大"),
    "unsupported_media": ("This content type is not taken here", "不支持的内容类型"),
    "validation": ("Something in the request is not acceptable", "请求内容不合要求"),
    "idempotency_mismatch": ("This key was used with another body", "幂等键已用于不同的请求体"),
    "too_many_points": ("Too many points for one answer", "数据点过多"),
    "precondition_required": ("If-Match is needed", "需要 If-Match"),
    "rate_limited": ("Too many calls", "请求过于频繁"),
    "overloaded": ("Try again in a moment", "服务繁忙，请稍后重试"),
}

_BY_STATUS: Mapping[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        errors.InvalidBody,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.TooLarge,
        errors.UnsupportedMedia,
        errors.Validation,
    )
}


def document(problem: Problem) -> dict[str, Any]:
    """The problem without what differs at each repeat: language, address and request id."""
    made: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.code,
        "title": TITLES[problem.code][0],
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.members,
    }
    if problem.errors:
        made["errors"] = problem.errors[:GREATEST_ERRORS]
    return made


def problem_of(error: BaseException) -> Problem:
    """What an exception means to the caller. What nobody foresaw is logged here and told to nobody."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _of_parameters(error)
    if isinstance(error, HTTPException):
        return _of_status(error)
    if isinstance(error, ClientDisconnect):
        return errors.InvalidBody("the body ended early")
    foreseen = _of_weather(error)
    if foreseen is not None:
        get_logger(__name__).warning("refused", reason=type(error).__name__, sqlstate=sqlstate(error))
        return foreseen
    get_logger(__name__).error("unexpected error", exc_info=error)
    return errors.Internal()


def _of_weather(error: BaseException) -> Problem | None:
    """Errors of the surroundings: what may work in a moment, and values that the database cannot hold."""
    if isinstance(error, PoolTimeout | BusUnavailable | Transient | TimeoutError | OSError):
        return errors.Overloaded("something needed is away; the same call may be repeated")
    if isinstance(error, DBAPIError):
        if (sqlstate(error) or "").startswith("22"):
            return errors.Validation("a value is out of the range that can be kept")
        if decide(error) is Verdict.RETRY:
            return errors.Overloaded("something needed is away; the same call may be repeated")
    return None


def _of_status(error: HTTPException) -> Problem:
    kind = _BY_STATUS.get(error.status_code)
    headers = dict(error.headers or {})
    if kind is None:
        return errors.Internal()
    if kind is errors.Unauthenticated:
        return errors.Unauthenticated()
    return kind(_DETAILS.get(error.status_code, ""), headers=headers)


_DETAILS = {404: "no such address", 405: "see the header Allow"}


def _of_parameters(error: RequestValidationError) -> Problem:
    """FastAPI checks path, query and headers only; bodies are checked by `routes.py`."""
    faults = [
        fault(
            "/" + "/".join(_escape(part) for part in one["loc"][1:]), code_of(one), one["msg"], **{"in": one["loc"][0]}
        )
        for one in error.errors()
    ]
    return errors.Validation(_summary(faults), errors=faults)


def of_body(found: Sequence[ErrorDetails], body: Any) -> Problem:
    """A body that its model refuses, with RFC 6901 pointers. The value itself is not repeated."""
    faults = [fault(pointer(one["loc"], body), code_of(one), one["msg"]) for one in found[:GREATEST_ERRORS]]
    return errors.Validation(_summary(faults), errors=faults)


_CODES = {"extra_forbidden": "unknown_field", "missing": "missing"}


def code_of(error: Mapping[str, Any]) -> str:
    """The code of one validation error."""
    kind = str(error["type"])
    return _CODES.get(kind, kind)


def pointer(location: Sequence[int | str], body: Any) -> str:
    """RFC 6901 from pydantic's location; names of union members, which are no part of the body, are left out."""
    parts: list[str] = []
    here = body
    for index, part in enumerate(location):
        if _leads_on(here, part):
            here = here[part]
        elif not isinstance(here, dict) or index < len(location) - 1:
            continue
        parts.append(_escape(part))
    return "".join("/" + part for part in parts)


def _leads_on(here: Any, part: int | str) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


def _escape(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _summary(faults: Sequence[Mapping[str, Any]]) -> str:
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{first['pointer'] or 'the body'}: {first['message']}{more}"


def response(made: dict[str, Any], request: Request, headers: Mapping[str, str]) -> Response:
    """The answer to this request with its own language, instance and request id."""
    english, chinese = TITLES[made["code"]]
    language = language_of(request.headers.get("accept-language"))
    own = {
        "title": chinese if language == "zh" else english,
        "instance": request.url.path,
        "request_id": request_id_of(request),
    }
    return Response(
        wire.encode(_in_order({**made, **own})),
        status_code=made["status"],
        headers={**headers, "Content-Language": language},
        media_type=MEDIA_TYPE,
    )


_ORDER = ("type", "title", "status", "detail", "instance", "pointer", "code", "message", "request_id", "errors")


def _in_order(members: Mapping[str, Any]) -> dict[str, Any]:
    """The same order for a problem that was kept (PostgreSQL sorts otherwise) as for one that is new."""
    names = sorted(members, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    ordered = {name: members[name] for name in names}
    if "errors" in ordered:
        ordered["errors"] = [_in_order(error) for error in ordered["errors"]]
    return ordered


def answer(error: BaseException, request: Request) -> Response:
    """What the caller gets to hear of an exception."""
    problem = problem_of(error)
    return response(document(problem), request, problem.headers)


def request_id_of(request: Request) -> str:
    """The id under which the log tells more."""
    return str(request.scope.get("opswire.request_id", ""))
