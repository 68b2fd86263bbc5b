"""Routes that say what they need: a scope, a body limit, JSON or raw bytes.

router = Router(tag="stock")

@router.post("/v1/receipts", scope="inventory:write", status_code=201, response_model=ReceiptBody)
async def receive(body: Receipt, call: Call) -> Response: ...
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

from fastapi import APIRouter
from fastapi.dependencies.utils import solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined as Undefined
from starlette.requests import Request
from starlette.responses import Response

from libs.events import strict_json
from libs.service import problems
from libs.service.auth import EVERY_STORE, SCOPES, Principal
from libs.service.call import CallContext, call_of
from libs.service.errors import BodyTimeout, Forbidden, InvalidBody, TooLarge, UnsupportedMedia, Validation, fault
from libs.service.privacy import mask_text

if TYPE_CHECKING:
    from libs.service.runtime import Runtime

BODY_LIMIT, LARGE_BODY_LIMIT = 1 << 20, 10 << 20
LET_PASS = 4 << 20
"""So much beyond the limit is read and thrown away: the caller hears the refusal, and not a broken connection."""
BODY_SECONDS = 30.0
PUBLIC = "public"
"""The scope of the few routes that need no key: health, version, webhooks with their own signatures, the console."""

F = TypeVar("F", bound=Callable[..., Awaitable[Response]])


MaskedText = Annotated[str, AfterValidator(mask_text)]
"""What people write: phone, mail and ID-card numbers in it are masked before anything else sees it (D8)."""


class Body(BaseModel):
    """Base of every request body: strict types, no unknown fields, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a route demands before its function runs."""

    scope: str
    large: bool = False
    raw: bool = False
    beacon: bool = False

    @property
    def limit(self) -> int:
        """Greatest body in bytes."""
        return LARGE_BODY_LIMIT if self.large else BODY_LIMIT


class ServiceRoute(APIRoute):
    """Key, scope, body, model, function: in this order, each refusal a problem."""

    contract: ClassVar[Contract]

    @cached_property
    def is_plain(self) -> bool:
        """Whether the function takes the call, perhaps a body, and nothing else, as the busiest routes do."""
        takes = self.dependant
        others = (takes.path_params, takes.query_params, takes.header_params, takes.cookie_params)
        calls_only = all(needed.call is call_of for needed in takes.dependencies)
        return len(self.body_names) <= 1 and calls_only and not any(others) and takes.request_param_name is None

    @cached_property
    def call_names(self) -> list[str]:
        """The parameters that are the call."""
        return [needed.name for needed in self.dependant.dependencies if needed.name and needed.call is call_of]

    @cached_property
    def body_names(self) -> list[str]:
        """The parameter that is the body, if any."""
        return [field.name for field in self.dependant.body_params]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Ours in the place of FastAPI's: the body is decoded and validated by us, the parameters by FastAPI."""
        model = BodyModel.of(self)

        async def answer(request: Request) -> Response:
            try:
                body = await _open(request, self, model)
                return await self.endpoint(**await self._parameters(request, body))  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - the one place where errors become answers
                return problems.answer(error, request)

        return answer

    async def _parameters(self, request: Request, body: Any) -> dict[str, Any]:
        """The arguments of the route's function. Raises RequestValidationError for path, query and headers."""
        if self.is_plain and (body is not Undefined or not self.body_names):
            return {**dict.fromkeys(self.call_names, request.state.call), **dict.fromkeys(self.body_names, body)}
        solved = await solve_dependencies(
            request=request,
            dependant=self.dependant,
            body=body,
            async_exit_stack=request.scope["fastapi_inner_astack"],
            embed_body_fields=False,
        )
        if solved.errors:
            raise RequestValidationError(solved.errors)
        return solved.values


class Router(APIRouter):
    """A router whose every route declares its scope."""

    def __init__(self, *, tag: str = "", **options: Any) -> None:
        super().__init__(tags=[tag] if tag else None, **options)
        self.contracts: dict[tuple[str, str], Contract] = {}
        """(method, path) -> contract: what the docs print and the tests walk."""

    def get(self, path: str, *, scope: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]
        """A read."""
        return self._declare("GET", path, scope, options)

    def post(self, path: str, *, scope: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]
        """A creation or a step. `large=True`: 10 MiB; `raw=True`: any content type, bytes in `call.content`."""
        return self._declare("POST", path, scope, options)

    def put(self, path: str, *, scope: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]
        """A replacement."""
        return self._declare("PUT", path, scope, options)

    def delete(self, path: str, *, scope: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]
        """A removal."""
        return self._declare("DELETE", path, scope, options)

    def options(self, path: str, *, scope: str, **options: Any) -> Callable[[F], F]:  # type: ignore[override]
        """A browser's question before a call from elsewhere."""
        return self._declare("OPTIONS", path, scope, options)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Only for routes that were declared with a scope. Raises TypeError for any other."""
        if options.get("route_class_override") is None:
            raise TypeError(f"{path}: declare it by get, post, put, delete or options, with its scope")
        super().add_api_route(path, endpoint, **options)

    def _declare(self, method: str, path: str, scope: str, options: dict[str, Any]) -> Callable[[F], F]:
        contract = Contract(_known(scope), *(options.pop(name, False) for name in ("large", "raw", "beacon")))
        self.contracts[method, self.prefix + path] = contract
        route_class = type("DeclaredRoute", (ServiceRoute,), {"contract": contract})

        def register(function: F) -> F:
            self.add_api_route(
                path, function, methods=[method], route_class_override=route_class, **_documented(contract, options)
            )
            return function

        return register


def _known(scope: str) -> str:
    if scope not in (*SCOPES, PUBLIC):
        raise ValueError(f"{scope} is no scope; there are {', '.join(SCOPES)} and PUBLIC")
    return scope


def _documented(contract: Contract, options: dict[str, Any]) -> dict[str, Any]:
    """The route as OpenAPI shows it: its scope, its problems."""
    extra = {"x-scope": contract.scope, **options.pop("openapi_extra", {})}
    if contract.scope != PUBLIC:
        extra["security"] = [{"key": []}]
    return {**options, "openapi_extra": extra}


@dataclass(frozen=True, slots=True)
class BodyModel:
    """How a route's body is validated."""

    adapter: TypeAdapter[Any]
    required: bool
    knows_store: bool

    @staticmethod
    def of(route: APIRoute) -> "BodyModel | None":
        """From the route's one body parameter. Raises TypeError for more than one."""
        field = route.body_field
        if field is None:
            return None
        if route._embed_body_fields:
            raise TypeError(f"{route.path}: one body parameter, and a model for it")
        annotation = inspect.signature(route.endpoint).parameters[field.name].annotation
        return BodyModel(TypeAdapter(annotation), field.field_info.is_required(), _knows_store(annotation))


async def _open(request: Request, route: ServiceRoute, model: BodyModel | None) -> Any:
    """Let the call in: key, body, store. The validated body is returned, or Undefined."""
    contract = route.contract
    runtime: Runtime = request.app.state.runtime
    principal = await _authenticate(request, runtime, contract)
    content = await _read(request, contract.limit) if request.method != "GET" else b""
    decoded, body = content, Undefined
    if not contract.raw and model is not None:
        decoded, body = _decode(request, content, model)
    call = CallContext(request, runtime, principal, f"{request.method} {route.path}", content, decoded)
    if principal is not None and contract.scope not in (PUBLIC, "admin", "metrics:read"):
        await _check_store(call)
    request.state.call = call
    return body


async def _check_store(call: CallContext) -> None:
    """Another store's name is refused before anything is done; a store that does not exist is not found."""
    if call.principal.store != EVERY_STORE or call.named_store is not None:
        await call.store_info()


async def _authenticate(request: Request, runtime: "Runtime", contract: Contract) -> Principal | None:
    if contract.scope == PUBLIC:
        return None
    principal = await runtime.keyring.principal(_presented(request, contract))
    if principal.is_public and not contract.beacon:
        raise Forbidden("this key is for the beacon alone")
    principal.require(contract.scope)
    principal.require_store(request.query_params.get("store"))
    return principal


def _presented(request: Request, contract: Contract) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return request.query_params.get("key") if contract.beacon else None
    kind, _, key = header.partition(" ")
    return key.strip() if kind.lower() == "bearer" else None


async def _read(request: Request, limit: int) -> bytes:
    """The body, counted while it comes in. Raises TooLarge, BodyTimeout."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:12]) > limit + LET_PASS:
        raise _too_large(limit, headers={"Connection": "close"})
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _count(request, limit)
    except TimeoutError as error:
        raise BodyTimeout(f"no complete body after {BODY_SECONDS:.0f} s", headers={"Connection": "close"}) from error


async def _count(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
            continue
        chunks.clear()
        if size > limit + LET_PASS:
            raise _too_large(limit, headers={"Connection": "close"})
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int, **options: Any) -> TooLarge:
    return TooLarge(f"at most {limit >> 20} MiB", **options)


def _decode(request: Request, content: bytes, model: BodyModel) -> tuple[Any, Any]:
    """(decoded JSON, validated model or Undefined). Raises InvalidBody, UnsupportedMedia, Validation."""
    if not content and not model.required:
        return None, Undefined
    _require_json(request)
    decoded = decode_json(content)
    wanted, raw = (decoded, content) if model.knows_store else _without_store(decoded, content)
    return decoded, validate(model.adapter, raw, wanted)


def decode_json(content: bytes) -> Any:
    """Strict JSON. Raises InvalidBody with the place."""
    try:
        return strict_json.loads(content)
    except strict_json.InvalidJson as error:
        raise InvalidBody(error.message, errors=[fault(error.pointer, "invalid_json", error.message)]) from error


def validate(adapter: TypeAdapter[Any], raw: bytes, decoded: Any, *, is_foreign: bool = False) -> Any:
    """The model of a body that is strict JSON already. Raises Validation with pointers.

    `is_foreign`: another program's own format, of which we read a part; unknown fields are not ours to refuse.
    """
    try:
        return adapter.validate_json(raw, strict=True, extra="ignore" if is_foreign else "forbid")
    except ValidationError as error:
        raise problems.of_body(error.errors(include_url=False, include_input=False), decoded) from error
    except RecursionError as error:
        raise Validation("nested too deeply") from error


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMedia("application/json is taken here", headers={"Accept": "application/json"})


def _without_store(decoded: Any, content: bytes) -> tuple[Any, bytes]:
    """An operator may name the store in any body; models that know no `store` do not see it."""
    if not isinstance(decoded, dict) or "store" not in decoded:
        return decoded, content
    rest = {name: value for name, value in decoded.items() if name != "store"}
    return rest, strict_json.dumps(rest)


def _knows_store(annotation: Any) -> bool:
    """Whether a body's model, or a member of its union, has a field `store` of its own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "store" in annotation.model_fields
    return any(_knows_store(member) for member in get_args(annotation))
