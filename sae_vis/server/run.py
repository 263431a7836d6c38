"""Starting and ending the server."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sae_vis.checks import whole_number
from sae_vis.deliver.explorer_page import explorer_page
from sae_vis.errors import InputError
from sae_vis.layout import CustomComponent, SaeVisLayoutConfig
from sae_vis.server.lanes import Lane
from sae_vis.server.served import Served

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from sae_vis.server.app import App

PORT = 8765
HTTP = 80  # the port that browsers leave out
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")
ENDS = 3  # seconds for answers on their way when the server is stopped


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the server listens, and who may ask.

    Attributes:
        host: address to listen at; any but the machine's own needs a ``token``.
        port: to listen at; 0: any that is free. None: 8765, or any that is free where that is taken.
        token: first part of the printed address; None: a random one.
        names: further names, with their ports, by which others reach this server, such as ``explorer.lab.org``.
        open_browser: whether to open the page in a browser.
        first: feature that the printed address opens; None: the first row of the table.

    Raises:
        InputError: a port that is none, a host that others can reach without a token, a token that is too short.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str | None = None
    names: tuple[str, ...] = ()
    open_browser: bool = True
    first: int | None = None

    def __post_init__(self) -> None:
        """An address that others reach needs a token that they were told."""
        if self.port is not None and not 0 <= whole_number(self.port, "port") <= 65535:
            raise InputError(f"port is {self.port}, expected 0 to 65535, 0 for any that is free")
        if self.first is not None:
            whole_number(self.first, "first", 0)
        if self.host not in LOOPBACK and self.token is None:
            raise InputError(
                f"host is {self.host!r}, which others can reach: give a token, too, that only they know (--token)"
            )
        if self.token is not None and not (len(self.token) >= 8 and self.token.isascii() and self.token.isalnum()):
            raise InputError("the token is too short or has signs in it, expected at least 8 letters and digits")


class Server:
    """A server that listens, and answers once it is run.

    Args:
        served: what is served, the index that is opened first in front.
        settings: where it listens, and who may ask.

    Attributes:
        address: of the explorer, token included.

    Raises:
        InputError: nothing to serve, a package that is missing, an address that can't be listened at.
    """

    def __init__(self, served: Sequence[Served], settings: ServerSettings | None = None) -> None:
        settings = settings or ServerSettings()
        require_packages()
        if not served:
            raise InputError("there is nothing to serve: give at least one index")
        self._socket = _listening(settings)
        try:
            self._app = _app(served)
        except BaseException:
            self._socket.close()
            raise
        port = self._socket.getsockname()[1]
        token = settings.token or secrets.token_urlsafe(24).replace("-", "a").replace("_", "b")
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"http://{'localhost' if settings.host in EVERYWHERE else host}:{port}/{token}/"
        self._began: Callable[[], None] | None = None
        self._server = self._web_server(_guarded(self._app, token, _hosts(settings, port)))

    def run(self, began: Callable[[], None] | None = None) -> None:
        """Answer until it is stopped, by Ctrl-C or `stop`. Whoever asked before is answered now.

        What the model does then ends by itself: until it has, the process does not.

        Args:
            began: called once it answers.
        """
        self._began = began
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self._app.close()
            self._socket.close()

    def stop(self) -> None:
        """End it, from another thread: what is on its way is answered first, for a few seconds."""
        self._server.should_exit = True

    def _web_server(self, app: ASGIApp) -> uvicorn.Server:
        import uvicorn

        begun, ending = self._begun, self._app.close

        class WebServer(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                begun()

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                ending()  # first, so that nobody waits for what will never be done
                await super().shutdown(sockets)

        return WebServer(
            uvicorn.Config(
                app,
                http="h11",  # strict, and there with uvicorn; "auto" takes whatever else is installed
                log_level="error",  # nobody can mend what strangers send
                access_log=False,
                timeout_graceful_shutdown=ENDS,
                server_header=False,
                proxy_headers=False,
                ws="none",
            )
        )

    def _begun(self) -> None:
        if self._began is not None:
            self._began()


def _app(served: Sequence[Served]) -> App:
    from sae_vis.server.app import App
    from sae_vis.server.open_index import OpenIndex

    model_lane = Lane("model")
    indices = [OpenIndex(one, model_lane) for one in served]
    first = indices[0]
    layout = served[0].layout or SaeVisLayoutConfig.default_feature_centric_layout()
    own = [c.module(first.seen) for c in layout.components if isinstance(c, CustomComponent)]
    page = explorer_page(f"{served[0].title} — sae_vis", own)
    return App(indices, page)


def _guarded(app: App, token: str, hosts: frozenset[str]) -> ASGIApp:
    from sae_vis.server.guard import Guard

    return Guard(app.asgi(), token, hosts)


def _hosts(settings: ServerSettings, port: int) -> frozenset[str]:
    """What a request may call this server."""
    own = LOOPBACK if settings.host in (*LOOPBACK, *EVERYWHERE) else ()
    shown = {f"[{name}]" if ":" in name else name for name in (settings.host, *own)}
    ports = (f":{port}", "") if port == HTTP else (f":{port}",)
    named = {f"{name}{end}".lower() for name in shown for end in ports}
    return frozenset({*named, *(name.lower() for name in settings.names)})


def _listening(settings: ServerSettings) -> socket.socket:
    """A socket at the wanted port; where none was named and the usual one is taken, at any that is free."""
    wanted = [PORT, 0] if settings.port is None else [settings.port]
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in wanted:
        # Named, or asyncio leaves Nagle's algorithm on: a body would wait 40 ms until its head is acknowledged.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere a second server could listen at the same port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((settings.host, port))
        except OSError as error:
            found.close()
            if port == wanted[-1]:
                raise InputError(
                    f"can't listen at {settings.host}:{port}: {error.strerror or error}; give another --port, 0 for any"
                ) from error
            continue
        found.listen(128)
        return found
    raise AssertionError("unreachable")


def require_packages() -> None:
    """Raise `InputError` where the server's packages are missing."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the server needs {error.name}, which is not installed: pip install 'sae-vis[serve]'"
        ) from error


def open_in_browser(address: str) -> None:
    """The address in the user's browser, where there is one; some browsers keep whoever opens them waiting."""
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
