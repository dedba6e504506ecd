"""The HTTP side of ``whyact serve``: who may ask, how much, and how answers look."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whyact.tasks.answers import Answers
from whyact.types import WhyactError

TOKEN = "x-whyact-token"
MAX_QUESTION = 64_000
"""Bytes of a question; films have limits of their own."""
AT_ONCE = 8
"""Requests with a body that are under way; more are asked to come back."""
SENDING = 120
"""Seconds that a body may take to arrive."""
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(WhyactError):
    """A request that is not answered, with its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def foreign(headers: Headers) -> str:
    """Why a request is none of this server's own pages; empty where it is.

    A page of another site can send requests here, and by DNS rebinding even under a name of its
    own. Browsers say whose page asks (``Origin``) and under which name (``Host``): an address or
    localhost is no name that anyone could have rebound.
    """
    hosts = headers.getlist("host")
    name = _hostname(hosts[0]) if len(hosts) == 1 else ""
    if name != "localhost" and not _is_address(name):
        return "Ask for this server by its address or as localhost."
    elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if elsewhere and headers.get("sec-fetch-dest") != "document":  # a link may lead here
        return "Requests from pages of another site are refused."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != hosts[0]:
        return "Requests from pages of another origin are refused."
    return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Refuses what comes from elsewhere, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if why := foreign(Headers(scope=scope)):
            return await JSONResponse({"error": why}, 403)(scope, receive, marked)
        await self.app(scope, receive, marked)


def application(answers: Answers) -> Starlette:
    """The server; models work one request at a time, on all cores."""
    one, busy = anyio.CapacityLimiter(1), anyio.Semaphore(AT_ONCE)

    async def page(request: Request) -> Response:
        return HTMLResponse(await anyio.to_thread.run_sync(answers.page))

    async def clips(request: Request) -> Response:
        name = request.query_params.get("name", "")[:200] or "clip"
        return JSONResponse(
            await asked(request, answers.limits.bytes, answers.upload, lambda b: (name, b))
        )

    async def what_if(request: Request) -> Response:
        return JSONResponse(await asked(request, MAX_QUESTION, answers.what_if, _question))

    async def saved(request: Request) -> Response:
        return HTMLResponse(await asked(request, MAX_QUESTION, answers.saved, _question))

    async def asked(
        request: Request, most: int, ask: Callable[..., Any], read: Callable[[bytes], Any]
    ) -> Any:
        token = request.headers.get(TOKEN, "")
        if not answers.store.knows(token):
            raise Refused(403, "This page is not known, or no longer; load it again.")
        try:
            busy.acquire_nowait()
        except anyio.WouldBlock:
            raise Refused(503, "The server is busy; try again in a moment.") from None
        try:
            body = read(await _body(request, most))
            return await anyio.to_thread.run_sync(lambda: ask(token, *body), limiter=one)
        finally:
            busy.release()

    return Starlette(
        routes=[
            Route("/", page), Route("/clips", clips, methods=["POST"]),
            Route("/what-if", what_if, methods=["POST"]),
            Route("/page", saved, methods=["POST"]),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={WhyactError: _said, ClientDisconnect: _said},
    )  # fmt: skip


async def _said(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 422
    return JSONResponse({"error": str(error)}, status)


async def _body(request: Request, most: int) -> bytes:
    """The body, read in pieces and no further than allowed."""
    too_large = Refused(413, f"More than {most / 1e6:g} MB are not taken.")
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > most:
        raise too_large
    made = bytearray()
    try:
        with anyio.fail_after(SENDING):
            async for piece in request.stream():
                made += piece
                if len(made) > most:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"The request took more than {SENDING} s to arrive.") from None
    return bytes(made)


def _question(body: bytes) -> tuple[Any]:
    try:
        return (json.loads(body),)
    except (ValueError, RecursionError) as error:
        raise WhyactError("The question is no JSON.") from error
