"""What stands between the web page and strangers: a password, and no dealings with pages of other sites."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from metanlp.errors import UserError

SECONDS_AFTER_A_WRONG_PASSWORD = 1.0
OWN_FILES_ONLY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"


class Guard:
    """Lets in whoever knows the password, if there is one; `local`: only by an address of this very machine.

    The browser is told to fetch nothing from elsewhere, whatever the page asks for.
    """

    def __init__(self, app: ASGIApp, password: str | None, local: bool) -> None:
        self.app, self.password, self.local = app, password, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = OWN_FILES_ONLY
            await send(message)

        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif refusal := await self._refusal(Headers(scope=scope)):
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, with_policy)

    async def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        host, origin, given = headers.get("host", ""), headers.get("origin"), headers.get("authorization")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("another site's page asks for this; a proxy has to hand on the Host header", 403)
        if self.local and not is_local(urlsplit(f"//{host}").hostname or ""):  # a name that somebody points to here
            return PlainTextResponse("this page is for its own machine, at http://127.0.0.1 or http://localhost", 403)
        if self.password and not _is_password(given or "", self.password):
            await asyncio.sleep(SECONDS_AFTER_A_WRONG_PASSWORD if given else 0)
            asked = {"WWW-Authenticate": 'Basic realm="metanlp", charset="UTF-8"'}
            return PlainTextResponse("the password is wrong or missing; any user name will do", 401, asked)
        return None


def require_password(host: str, password: str | None) -> None:
    """UserError where others could reach the page without one."""
    if not password and not is_local(host):
        raise UserError(
            f"--host {host} shows the page, and everybody's lines, to whoever reaches this machine; choose a password that "
            "they are asked for: --password, or the variable METANLP_PASSWORD"
        )


def is_local(host: str) -> bool:
    """Whether an address, without a port, is one that only this machine can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_password(given: str, password: str) -> bool:
    """Whether a header of HTTP's basic authentication has the password; its user name is nobody's business."""
    kind, _, coded = given.partition(" ")
    try:
        _, _, found = base64.b64decode(coded, validate=True).partition(b":")
    except ValueError:
        return False
    return kind.lower() == "basic" and secrets.compare_digest(found, password.encode())
