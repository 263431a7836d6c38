"""The addresses that the server answers. Paths begin behind the token (`guard`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import torch
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sae_vis.checks import feature_ids, shown, surrogate_at, whole_number
from sae_vis.contract import EveryLayer, Note, Notes
from sae_vis.deliver.answers import answer
from sae_vis.deliver.explorer_page import PARTS_AT, ExplorerPage, with_head
from sae_vis.errors import IndexFileError, InputError, SaeVisError
from sae_vis.server.guard import LARGEST, refused
from sae_vis.server.kept import KeptAnswers
from sae_vis.server.lanes import Cancelled, Stopping
from sae_vis.server.notes import StaleNoteError
from sae_vis.server.open_index import Gone, OpenIndex
from sae_vis.server.served import NO_MODEL, Desk
from sae_vis.server.streams import PartsResponse
from sae_vis.views.prompt import PromptSettings

BLOCK = "application/octet-stream"
FOR_GOOD = "private, max-age=31536000, immutable"
"""Of answers whose address has the index's identity in it."""
MOST_DIGITS = 18  # of a number in an address: more may be none of 64 bits
MOST_PAIRS = 10_000  # of a prompt whose full effects are measured at once
log = logging.getLogger("sae_vis.server")


class LargeRequestError(InputError):
    """A request whose body is larger than is read."""


class _Number(Convertor[int]):
    """A number in a path; starlette's own takes any number of digits, which Python does not."""

    regex = f"[0-9]{{1,{MOST_DIGITS}}}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("n", _Number())


class App:
    """Answers about one index or several.

    Args:
        indices: what is served, the one that is opened first in front.
        page: the explorer's page.
    """

    def __init__(self, indices: Sequence[OpenIndex], page: ExplorerPage) -> None:
        self._indices = list(indices)
        self._page = page
        self._kept = KeptAnswers()

    def asgi(self) -> Starlette:
        """The application."""
        at = "/i/{identity}"
        routes = [
            Route("/", _answered(self.page)),
            Route(f"/{PARTS_AT}/{{name}}", _answered(self.part)),
            Route("/head", _answered(self.head)),
            Route(f"{at}/head", _answered(self.head)),
            Route(f"{at}/column/{{name}}", _answered(self.column)),
            Route(f"{at}/map", _answered(self.map)),
            Route(f"{at}/rows", _answered(self.rows)),
            Route(f"{at}/card/{{feature:n}}", _answered(self.card)),
            Route(f"{at}/full/{{feature:n}}", _answered(self.full_card)),
            Route(f"{at}/search", _answered(self.search)),
            Route(f"{at}/read/{{document:n}}/{{page:n}}", _answered(self.read)),
            Route(f"{at}/place/{{sequence:n}}/{{position:n}}", _answered(self.place)),
            Route(f"{at}/firing/{{feature:n}}", _answered(self.firing)),
            Route(f"{at}/logits/{{feature:n}}", _answered(self.logits)),
            Route(f"{at}/page", _answered(self.made_page), methods=["POST"]),
            Route(f"{at}/try", _answered(self.tried), methods=["POST"]),
            Route(f"{at}/wakes", _answered(self.wakes), methods=["POST"]),
            Route(f"{at}/prompt", _answered(self.prompt), methods=["POST"]),
            Route(f"{at}/effects", _answered(self.effects), methods=["POST"]),
            Route(f"{at}/layers", _answered(self.layers), methods=["POST"]),
            Route(f"{at}/with/{{other}}/head", _answered(self.comparison)),
            Route(f"{at}/with/{{other}}/pair/{{feature:n}}", _answered(self.pair)),
            Route(f"{at}/notes", _answered(self.notes)),
            Route(f"{at}/note/{{feature:n}}", _answered(self.note), methods=["PUT"]),
        ]
        made = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
        made.router.redirect_slashes = False  # it would lead to a path without the token
        return made

    def close(self) -> None:
        """Leave out whatever has not begun."""
        for index in self._indices:
            index.close()

    async def page(self, request: Request) -> Response:
        """The explorer's page, with what the index begins with that is asked for by ``?index=…``: none, the first."""
        page = self._page.text
        with contextlib.suppress(SaeVisError):  # the page asks for it then, and says what is wrong
            page = with_head(page, await self._head(request, request.query_params.get("index")))
        return HTMLResponse(page, headers={"content-security-policy": self._page.policy, "cache-control": "no-store"})

    async def part(self, request: Request) -> Response:
        """A part of the page's script, or its styles."""
        found = self._page.parts.get(request.path_params["name"])
        if found is None:
            raise Gone("the page's script was replaced: load the page again")
        return _block(found.encode())

    async def head(self, request: Request) -> Response:
        """What the explorer of an index begins with; without an identity, of the first."""
        return _block(await self._head(request, request.path_params.get("identity")), kept=False)

    async def _head(self, request: Request, identity: str | None) -> bytes:
        others = await asyncio.gather(*(one.last_identity() for one in self._indices))
        wanted = self._indices[0] if identity is None else self._named(identity)
        every = [(identity, one.served.title, one) for identity, one in zip(others, self._indices, strict=True)]

        def made(desk: Desk) -> bytes:
            return desk.head([(name, title, one.seen) for name, title, one in every])

        return await wanted.quick(request, made)  # whose index is open already

    async def column(self, request: Request) -> Response:
        """A column of the table."""
        name = request.path_params["name"]
        kept = name != "loss_effect"  # it grows with every card that is looked at
        return _block(await self._index(request).long(request, lambda desk: desk.column(name)), kept=kept)

    async def map(self, request: Request) -> Response:
        """The map of decoder directions."""
        return _block(await self._index(request).long(request, lambda desk: desk.map()), kept=False)

    async def rows(self, request: Request) -> Response:
        """Tokens of rows in sight: ``?f=1,2,3``."""
        features = _features(request.query_params.get("f", ""))
        return _block(await self._index(request).quick(request, lambda desk: desk.rows(features)))

    async def card(self, request: Request) -> Response:
        """A card, of what needs no run of the model."""
        index, feature = self._index(request), _feature(request)
        key = (request.path_params["identity"], feature)
        await index.check()
        found = self._kept.get(key)
        if found is None:
            found = await index.quick(request, lambda desk: desk.card(feature))
            self._kept.put(key, found)
        return _block(found, kept=False)

    async def full_card(self, request: Request) -> Response:
        """A card with all effects computed; from then on the card that `card` gives."""
        index, feature = self._index(request), _feature(request)
        found = await index.model(request, lambda desk: desk.full_card(feature))
        self._kept.put((request.path_params["identity"], feature), found)
        return _block(found, kept=False)

    async def search(self, request: Request) -> Response:
        """Features by a text: ``?q=…``."""
        words = request.query_params.get("q", "")
        return _block(await self._index(request).long(request, lambda desk: desk.search(words)))

    async def read(self, request: Request) -> Response:
        """A page of a document; ``?f=1,2``: with the firings of these features, where there are no codes by token."""
        document, page = request.path_params["document"], request.path_params["page"]
        pinned = _features(request.query_params.get("f", ""))
        return _block(await self._index(request).long(request, lambda desk: desk.read(document, page, pinned)))

    async def place(self, request: Request) -> Response:
        """The document of a token that is named by its row and its position there."""
        sequence, position = request.path_params["sequence"], request.path_params["position"]
        return _block(await self._index(request).long(request, lambda desk: desk.place(sequence, position)))

    async def firing(self, request: Request) -> Response:
        """A feature's next firing after a corpus position, ``?after=12``, or the one before it, ``?before=12``."""
        index, feature, asked = self._index(request), _feature(request), request.query_params
        direction: Literal[1, -1] = -1 if "before" in asked else 1
        position = _position(asked.get("before" if direction == -1 else "after", ""))
        return _block(await index.long(request, lambda desk: desk.next_firing(feature, position, direction)))

    async def logits(self, request: Request) -> Response:
        """A feature's logit effects on the tokens that hold some words: ``?q=…``."""
        index, feature, words = self._index(request), _feature(request), request.query_params.get("q", "")
        return _block(await index.long(request, lambda desk: desk.logits(feature, words)))

    async def made_page(self, request: Request) -> Response:
        """A page of some features, to keep: ``{"features": […], "title": …}``."""
        asked = await _body(request)
        features = feature_ids(asked.get("features"))
        title = "" if asked.get("title") is None else _text(asked, "title")
        made = await self._index(request).long(request, lambda desk: desk.page(features, title))
        headers = {"content-disposition": 'attachment; filename="features.html"', "cache-control": "no-store"}
        return Response(made, media_type=BLOCK, headers=headers)

    async def tried(self, request: Request) -> Response:
        """A text of the user's own: ``{"text": …}``."""
        text = _text(await _body(request))
        index = self._index(request)
        return _block(await index.model(request, lambda desk: desk.tried(text)), kept=False)

    async def wakes(self, request: Request) -> Response:
        """Features by what a text wakes: ``{"text": …}``."""
        text = _text(await _body(request))
        index = self._index(request)
        return _block(await index.model(request, lambda desk: desk.wakes(text)), kept=False)

    async def prompt(self, request: Request) -> Response:
        """A prompt by every metric: ``{"text": …, "compare": … or nothing}``."""
        asked = await _body(request)
        index = self._index(request)
        text, second = _text(asked), None if asked.get("compare") is None else _text(asked, "compare")
        settings = PromptSettings(compare=second)
        return _block(await index.model(request, lambda desk: desk.prompt(text, settings)), kept=False)

    async def effects(self, request: Request) -> Response:
        """Full effects of so many ``pairs`` of largest attribution of a prompt, a few at a time (`framed`)."""
        asked = await _body(request)
        index = self._index(request)
        text, second = _text(asked), None if asked.get("compare") is None else _text(asked, "compare")
        settings = PromptSettings(
            compare=second, full_effects=min(whole_number(asked.get("pairs"), "pairs", 1), MOST_PAIRS)
        )
        stream = await index.stream(request, lambda desk: desk.full_effects(text, settings))
        return PartsResponse(stream, _reason, media_type=BLOCK, headers={"cache-control": "no-store"})

    async def layers(self, request: Request) -> Response:
        """A prompt at every index that is live: ``{"text": …}``."""
        text = _text(await _body(request))
        self._index(request)
        live = [index for index in self._indices if not index.served.why_not_live]
        if not live:
            raise InputError(NO_MODEL)
        found = [await index.model(request, lambda desk: desk.layer(text)) for index in live]
        every = EveryLayer(tokens=found[0][0], layers=tuple(layer for _, layer in found))
        spelled = await self._index(request).long(request, lambda desk: desk.index.text)
        return _block(answer(EveryLayer, every, spelled), kept=False)

    async def comparison(self, request: Request) -> Response:
        """What is known of all features of two indices."""
        other = self._index(request, "other")
        return _block(await self._index(request).compared(request, other, lambda desk: desk.head()))

    async def pair(self, request: Request) -> Response:
        """A feature of one index with its nearest of another."""
        other, feature = self._index(request, "other"), _feature(request)
        return _block(await self._index(request).compared(request, other, lambda desk: desk.pair(feature)))

    async def notes(self, request: Request) -> Response:
        """All notes."""
        notes = self._index(request).notes
        found = Notes(notes=()) if notes is None else await asyncio.to_thread(notes.read)
        return _block(answer(Notes, found), kept=False)

    async def note(self, request: Request) -> Response:
        """Write a note: ``{"text": …, "revision": …}``; the note as it is then."""
        feature, asked = _feature(request), await _body(request)
        index = self._index(request)
        text, revision = _text(asked), asked.get("revision")
        if index.notes is None:
            raise InputError("this server keeps no notes")
        if type(revision) is not int or revision < 0:
            raise InputError(f"the revision is {shown(revision)}, expected that of the note that was read, 0 for none")
        index.seen.require_feature(feature)
        await index.check()
        made = await asyncio.to_thread(index.notes.write, feature, text, revision)
        return JSONResponse(_told(made), headers={"cache-control": "no-store"})

    def _index(self, request: Request, name: str = "identity") -> OpenIndex:
        """The index that an address names. Raises `Gone` where it is not served, or no more."""
        return self._named(request.path_params[name])

    def _named(self, identity: str) -> OpenIndex:
        for index in self._indices:
            if index.known_identity == identity:
                return index
        raise Gone("the index that this page shows is not served any more, or was replaced: load the page again")


def _block(found: bytes, *, kept: bool = True) -> Response:
    return Response(found, media_type=BLOCK, headers={"cache-control": FOR_GOOD if kept else "no-store"})


def _feature(request: Request) -> int:
    feature: int = request.path_params["feature"]
    return feature


def _features(text: str) -> list[int]:
    parts = text.split(",") if text else []
    if not all(part.isascii() and part.isdigit() and len(part) <= MOST_DIGITS for part in parts):
        raise InputError(f"the features are {shown(text)}, expected numbers with commas between them")
    return [int(part) for part in parts]


def _position(text: str) -> int:
    if not (text.removeprefix("-").isdigit() and text.isascii() and len(text) < 16):
        raise InputError(f"the position is {shown(text)}, expected a whole number")
    return int(text)


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object. Only as JSON: a form on another site can't send that without asking first."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InputError("the request's body is not said to be application/json")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > LARGEST:
            raise LargeRequestError(f"the request has more than {LARGEST:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request's body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError("the request's body is not a JSON object")
    return found


def _text(asked: dict[str, Any], name: str = "text") -> str:
    found = asked.get(name)
    if not isinstance(found, str):
        raise InputError(f"the request has no {name!r}, expected a text")
    half = surrogate_at(found)
    if half is not None:
        raise InputError(f"the {name} holds half a character ({found[half]!r} at index {half}), which is not text")
    return found


def _told(note: Note) -> dict[str, Any]:
    return {"feature": note.feature, "text": note.text, "revision": note.revision}


Endpoint = Callable[[Request], Awaitable[Response]]


def _answered(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose errors are answers: whatever goes wrong in one request, the server goes on."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            return _refusal(error)

    return answered


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = {404: "nothing here", 405: "not this way"}.get(error.status_code, error.detail)
    return refused(error.status_code, reason, error.headers)


STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (StaleNoteError, 409),
    (LargeRequestError, 413),
    (Gone, 410),
    (Cancelled, 499),
    (ClientDisconnect, 499),
    (Stopping, 503),
    (IndexFileError, 500),
    (SaeVisError, 400),
    (MemoryError, 507),
    (torch.cuda.OutOfMemoryError, 507),
)
"""Of errors that are expected, the first that fits."""
NO_ROOM = "can't allocate memory"  # what torch says of the machine's own memory, in a RuntimeError
NO_MEMORY = "there is not enough memory for this: give a shorter text, or fewer features"


def _refusal(error: Exception) -> Response:
    """What went wrong, as an answer; in the log, too, where it is the server's own fault."""
    status, reason = _told_of(error)
    if isinstance(error, StaleNoteError):
        return JSONResponse({"error": reason, "note": _told(error.note)}, status_code=status)
    return refused(status, reason)


def _reason(error: Exception) -> str:
    """What went wrong, in words."""
    return _told_of(error)[1]


def _told_of(error: Exception) -> tuple[int, str]:
    """Status and reason; in the log, too, where it is the server's own fault."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), None)
    if isinstance(error, RuntimeError) and NO_ROOM in str(error):
        status = 507
    if status in (None, 500, 507):
        log.error("a request failed", exc_info=error)
    if status is None:
        return 500, f"this failed in the server: {type(error).__name__}: {error}"
    return status, {499: "nobody waited for the answer", 507: NO_MEMORY}.get(status, str(error))
