"""The HTTP side of a service: its routers, and what all services answer alike."""

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.service import middleware, openapi, problems, wire
from libs.service.call import Call
from libs.service.routes import PUBLIC, Router
from libs.service.runtime import Runtime
from libs.service.version import VERSION


class ServiceApp(FastAPI):
    """A service's app. What stands in `front` gets every call first, and hands on to `usual` what is not for it."""

    front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        await (self.front or self.usual)(scope, receive, send)

    async def usual(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call by its route, through all layers."""
        await super().__call__(scope, receive, send)


def create_app(runtime: Runtime, routers: Sequence[Router]) -> ServiceApp:
    """The ASGI app of a service."""
    app = ServiceApp(
        title=f"opswire {runtime.name}", version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.runtime = runtime
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    for router in (*routers, _system()):
        app.router.routes.extend(router.routes)  # what include_router would add is a second matching at every call
    openapi.describe(app)
    middleware.wrap(app, runtime.name, runtime.gate)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return problems.answer(error, request)


def _system() -> Router:
    """Health, readiness, metrics, version, docs."""
    router = Router(tag="system")

    @router.get("/healthz", scope=PUBLIC)
    async def alive(call: Call) -> Response:
        """Alive; touches nothing."""
        return _json({"status": "ok", "service": call.runtime.name})

    @router.get("/readyz", scope=PUBLIC)
    async def ready(call: Call) -> Response:
        """Able to work: database, bus, progress; with reasons."""
        found = {name: await ask() for name, ask in call.runtime.checks.items()}
        is_ready = not any(found.values())
        checks = {name: reason or "ok" for name, reason in found.items()}
        return _json({"ready": is_ready, "service": call.runtime.name, "checks": checks}, 200 if is_ready else 503)

    @router.get("/metrics", scope=PUBLIC, openapi_extra={"x-scope": "metrics:read"})
    async def metrics(call: Call) -> Response:
        """Prometheus; open to loopback, else by the scope `metrics:read` (D49)."""
        if not _is_loopback(call.request):
            header = call.request.headers.get("authorization", "")
            caller = await call.runtime.keyring.principal(header.removeprefix("Bearer ").strip())
            caller.require("metrics:read")
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/version", scope=PUBLIC)
    async def version(call: Call) -> Response:
        """The version of this program."""
        return _json({"service": call.runtime.name, "version": VERSION})

    @router.get("/docs", scope=PUBLIC, include_in_schema=False)
    async def docs(call: Call) -> Response:
        """The calls of this service, with their scopes."""
        return Response(openapi.page(call.request.app.openapi()), media_type="text/html; charset=utf-8")

    return router


def _json(body: object, status: int = 200) -> Response:
    return Response(wire.encode(body), status_code=status, media_type="application/json")


def _is_loopback(request: Request) -> bool:
    host = request.client.host if request.client else ""
    return host == "::1" or host.startswith("127.")
