"""Who may ask: the server's own page, by the address that was printed, and nobody else."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 1 << 20
"""Bytes of a request's body at most."""
NOTHING = "nothing here; open the whole address that the server printed, the slash at its end included"
FOREIGN = frozenset({"cross-site", "same-site"})
SCHEMES = frozenset({"http", "https"})  # https where a proxy stands in front
ONCE = frozenset({b"host", b"origin", b"content-length", b"content-type", b"sec-fetch-site", b"sec-fetch-mode"})
"""Headers that decide: of two of them, somebody on the way may have gone by the other one."""
MOST_DIGITS = 20  # of a length
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
"""Headers of every answer."""


class Guard:
    """Lets requests through that name this server, come from its own page and know the token.

    A page on another site could make a reader's browser ask here: by a name of its own that it points to this machine
    (the Host says so then), or directly (the Origin, and what the browser says of the site, do). Neither gets an answer
    that tells whether the token was right.

    Args:
        app: what is guarded; it sees paths without the token.
        token: first part of every path.
        hosts: what the Host may be, ports included.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = self._refusal(scope)
            rest = scope["path"].removeprefix("/").partition("/")[2]
            inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode("utf-8", "surrogatepass")}
            answers = self._app if refusal is None else refused(*refusal)
            await answers(inner, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason where a request is refused; None where it is not."""
        names = [name.lower() for name, _ in scope["headers"]]
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        first, slash, _ = scope["path"].removeprefix("/").partition("/")
        checks = (
            (all(names.count(name) < 2 for name in ONCE), 400, "a header is there twice"),
            (headers.get(b"host", "").lower() in self._hosts, 403, "open the address that the server printed"),
            (self._is_own(headers, scope["method"]), 403, "requests from other sites are refused"),
            (_is_short(headers.get(b"content-length", "0")), 413, f"the request has more than {LARGEST:,} bytes"),
            (hmac.compare_digest(first.encode("utf-8", "surrogatepass"), self._token), 404, NOTHING),
            (bool(slash), 404, NOTHING),
        )
        return next(((status, reason) for holds, status, reason in checks if not holds), None)

    def _is_own(self, headers: Mapping[bytes, str], method: str) -> bool:
        """Whether a request comes from the server's own page, or opens it."""
        scheme, _, host = headers.get(b"origin", "").lower().partition("://")
        if b"origin" in headers and not (scheme in SCHEMES and host in self._hosts):
            return False
        opens = headers.get(b"sec-fetch-mode") == "navigate" and headers.get(b"sec-fetch-dest") == "document"
        return headers.get(b"sec-fetch-site") not in FOREIGN or (opens and method == "GET")


def _is_short(length: str) -> bool:
    return length.isascii() and length.isdigit() and len(length) <= MOST_DIGITS and int(length) <= LARGEST


def refused(status: int, reason: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says why there is none."""
    return JSONResponse({"error": reason}, status_code=status, headers={**(headers or {}), "cache-control": "no-store"})


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in HEADERS.items() if name not in names]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent
