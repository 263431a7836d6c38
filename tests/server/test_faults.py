"""What goes wrong while a server runs: each is an answer, and the server goes on."""

from __future__ import annotations

import asyncio
import errno
import http.client
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sae_vis.demo import run as demo
from sae_vis.effects.intervention import FullEffects
from sae_vis.errors import InputError
from sae_vis.server import lanes, run
from sae_vis.server.app import NO_MEMORY
from sae_vis.server.lanes import Cancelled, Lane, Stopping
from sae_vis.server.run import ServerSettings
from sae_vis.server.serve import serve
from sae_vis.server.served import Desk
from tests.fixtures.live_server import PATIENCE, Client, running
from tests.server.conftest import identity_of, server_of

pytestmark = pytest.mark.explorer

NO_ROOM = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to …"
TEXT = {"text": "The war"}
LIVE = {"try": TEXT, "wakes": TEXT, "prompt": TEXT, "effects": {**TEXT, "pairs": 2}, "layers": TEXT}


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def requests_in(client: Client) -> int:
    """How many requests the server is answering."""
    return len(client.server._server.server_state.tasks)


@pytest.fixture
def live(folder, parts, tokenizer):
    """A live server of an index that a test may do anything with."""
    with running(server_of(folder, parts=parts, tokenizer=tokenizer)) as found:
        yield found


class Gate:
    """Stands in for a method: counts its calls, and holds those after the first few until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, of: type, name: str, free: int = 0) -> None:
        self.calls, self._free, self._open = 0, free, threading.Event()
        method = getattr(of, name)

        def gated(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls > self._free:
                assert self._open.wait(PATIENCE)
            return method(*args, **kwargs)

        monkeypatch.setattr(of, name, gated)

    def open(self) -> None:
        self._open.set()


def sent(client: Client, path: str, body: bytes = b"") -> socket.socket:
    """A request on its way, answer not read."""
    found = socket.create_connection(client.at, timeout=PATIENCE)
    lines = [f"{'POST' if body else 'GET'} /{client.token}/{path} HTTP/1.1", f"Host: {client.host}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    found.sendall("\r\n".join(lines).encode() + body)
    return found


# The model


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("odd"), 500, "this failed in the server: RuntimeError: odd"),
        (ZeroDivisionError(), 500, "this failed in the server: ZeroDivisionError: "),
        (MemoryError(), 507, NO_MEMORY),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), 507, NO_MEMORY),
        (RuntimeError(NO_ROOM), 507, NO_MEMORY),
        (InputError("not so"), 400, "not so"),
    ],
    ids=["RuntimeError", "ZeroDivisionError", "MemoryError", "of a GPU", "of the machine", "InputError"],
)
def test_a_model_that_raises_is_an_answer(client, identity, parts, monkeypatch, error, status, said):
    def raises(_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(parts.sae, "encode", raises)
        for path, asked in LIVE.items():
            answer = client.send(f"i/{identity}/{path}", asked)
            assert (answer.status, answer.error) == (status, said)
        assert client.get(f"i/{identity}/card/5").status == 200
    for path, asked in LIVE.items():
        assert client.send(f"i/{identity}/{path}", asked).status == 200


def test_an_error_between_parts_is_told_behind_them(client, identity, monkeypatch, caplog):
    measure, calls = FullEffects.at, []

    def at(self: FullEffects, *args: Any) -> Any:
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("odd")
        return measure(self, *args)

    monkeypatch.setattr(FullEffects, "at", at)
    answer = client.send(f"i/{identity}/effects", {"text": "The war", "pairs": 40})
    *made, mark, reason = parts_of(answer.body)
    assert len(made) == 1
    assert made[0] != b""
    assert (mark, reason.decode()) == (b"", "this failed in the server: RuntimeError: odd")
    assert "a request failed" in caplog.text
    assert client.send(f"i/{identity}/try", TEXT).status == 200


def parts_of(body: bytes) -> list[bytes]:
    """The parts of an answer, each behind its length."""
    found, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "little")
        found.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return found


# Clients that leave


def test_what_nobody_waits_for_any_more_is_never_begun(client, identity, monkeypatch):
    gate = Gate(monkeypatch, Desk, "_tried")
    first = sent(client, f"i/{identity}/try", b'{"text": "a"}')
    until(lambda: gate.calls == 1)
    others = [sent(client, f"i/{identity}/wakes", b'{"text": "b"}') for _ in range(5)]
    until(lambda: requests_in(client) == 6)
    for other in others:
        other.close()
    until(lambda: requests_in(client) == 1)
    gate.open()
    assert client.send(f"i/{identity}/try", TEXT).status == 200
    assert gate.calls == 2
    assert first.recv(12) == b"HTTP/1.1 200"
    first.close()


def test_quick_answers_that_nobody_waits_for(client, identity, monkeypatch):
    gate = Gate(monkeypatch, Desk, "card")
    left = [sent(client, f"i/{identity}/card/{feature}") for feature in range(100, 130)]
    until(lambda: requests_in(client) == 30)
    for one in left:
        one.close()
    until(lambda: requests_in(client) == 1)  # the one that has begun
    gate.open()
    assert client.get(f"i/{identity}/card/5").status == 200
    assert gate.calls <= 2


@pytest.mark.parametrize("free", [0, 1], ids=["before the first part", "between parts"])
def test_effects_end_when_their_reader_has_left(client, identity, monkeypatch, free):
    gate = Gate(monkeypatch, FullEffects, "at", free)
    reader = sent(client, f"i/{identity}/effects", b'{"text": "The United States went to war", "pairs": 80}')
    if free:
        assert reader.recv(12) == b"HTTP/1.1 200"
    until(lambda: gate.calls == free + 1)
    reader.close()
    until(lambda: requests_in(client) == 0)
    gate.open()
    assert client.send(f"i/{identity}/try", TEXT).status == 200  # behind it in the queue
    assert gate.calls == free + 1


def test_a_lane_leaves_out_what_nobody_waits_for():
    async def main() -> None:
        lane, held, ran = Lane("test"), threading.Event(), []
        present, absent = Later(False), Later(True)
        first = asyncio.ensure_future(lane.do(present, held.wait, PATIENCE))
        second = asyncio.ensure_future(lane.do(absent, ran.append, 2))
        third = asyncio.ensure_future(lane.do(present, ran.append, 3))
        with pytest.raises(Cancelled):
            await second
        held.set()
        assert await first
        await third
        assert ran == [3]
        lane.close()
        with pytest.raises(Stopping, match="the server is being stopped"):
            await lane.do(present, ran.append, 4)
        with pytest.raises(Stopping):
            lane.start(lambda: ran.append(5))
        assert ran == [3]

    asyncio.run(main())


class Later:
    """An answer that takes an await."""

    def __init__(self, value: bool) -> None:
        self._value = value

    async def __call__(self) -> bool:
        return self._value


# The index


def replaced(folder: Path, by: Path) -> None:
    """Put another index in place of one, at once."""
    shutil.copytree(by, folder.with_name("coming"))
    folder.rename(folder.with_name("gone"))
    folder.with_name("coming").rename(folder)


PATHS = ["head", "card/5", "column/density", "rows?f=1", "search?q=the", "read/0/0", "firing/18?after=0", "full/5"]


@pytest.mark.parametrize("seen", [False, True], ids=["asked first", "asked before"])
@pytest.mark.parametrize("path", [*PATHS, "with/{}/head", "try", "effects"])
def test_an_index_that_was_replaced(live, folder, made_other, path, seen):
    old = identity_of(live)
    path = path.format(old)

    def asked(identity: str) -> Any:
        return live.send(f"i/{identity}/{path}", LIVE[path]) if path in LIVE else live.get(f"i/{identity}/{path}")

    if seen:
        assert asked(old).status == 200
    replaced(folder, made_other)
    answer = asked(old)
    assert answer.status == 410
    assert answer.error.endswith("replaced: load the page again")
    new = identity_of(live)
    assert new != old
    assert asked(old).status == 410
    path = path.replace(old, new)
    found = asked(new)
    assert found.status == 200
    if path.startswith("card"):
        assert found.body == Desk(live.server._app._indices[0].served).card(5)


def test_an_index_that_is_replaced_while_an_answer_is_made(live, folder, made_other, monkeypatch):
    old, card = identity_of(live), Desk.card

    def slow(self: Desk, feature: int) -> bytes:
        if folder.with_name("gone").exists():
            return card(self, feature)
        replaced(folder, made_other)
        return card(self, feature)

    monkeypatch.setattr(Desk, "card", slow)
    assert live.get(f"i/{old}/card/5").status == 410
    new = identity_of(live)
    assert live.get(f"i/{old}/card/5").status == 410
    assert live.get(f"i/{new}/card/5").status == 200


def test_an_index_that_is_touched_is_the_same(live, folder):
    old = identity_of(live)
    before = live.get(f"i/{old}/card/5").body
    os.utime(folder / "manifest.json")
    assert live.get(f"i/{old}/card/5").body == before
    assert identity_of(live) == old


def test_an_index_that_is_deleted_is_said(live, folder):
    identity = identity_of(live)
    folder.rename(folder.with_name("away"))
    for path in ("head", f"i/{identity}/head", f"i/{identity}/card/5", f"i/{identity}/column/density"):
        answer = live.get(path)
        assert (answer.status, answer.error) == (500, f"{folder} has no manifest.json: there is nothing")
    folder.with_name("away").rename(folder)
    assert live.get(f"i/{identity}/card/5").status == 200


def test_files_that_are_deleted_are_said(live, folder):
    identity = identity_of(live)
    assert live.get(f"i/{identity}/column/density").status == 200
    shutil.rmtree(folder / "postings")
    answer = live.get(f"i/{identity}/card/5")
    assert answer.status == 500
    assert answer.error.startswith(f"{folder / 'postings'}")
    assert "is missing" in answer.error
    assert live.get(f"i/{identity}/column/density").status == 200


def test_files_that_are_altered_are_said(live, folder):
    identity = identity_of(live)
    for path in (folder / "postings").iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
        path.write_bytes(data)
    answers = [live.get(f"i/{identity}/card/{feature}") for feature in demo.RESID.picked]
    assert any(answer.status == 500 and "checksum" in answer.error for answer in answers)
    assert live.get(f"i/{identity}/column/density").status == 200


def test_one_index_that_is_gone_leaves_the_others(made, folder):
    with running(server_of([made, folder], notes=False)) as client:
        identity = identity_of(client)
        before = client.get("head").body
        shutil.rmtree(folder)
        assert client.get("head").body == before
        assert client.get(f"i/{identity}/card/5").status == 200


# The end


def test_who_waits_when_the_server_ends_is_told(live, monkeypatch, caplog):
    monkeypatch.setattr(lanes, "ENDS", 0.0)
    identity, gate = identity_of(live), Gate(monkeypatch, Desk, "_tried")
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(live.send(f"i/{identity}/try", TEXT))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: requests_in(live) == 3)
    live.server.stop()
    for thread in threads:
        thread.join(PATIENCE)
    assert {(answer.status, answer.error) for answer in answers} == {(503, "the server is being stopped")}
    assert len(answers) == 3
    assert gate.calls == 1
    gate.open()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_effects_end_when_the_server_does_which_is_told(live, monkeypatch, caplog):
    gate = Gate(monkeypatch, FullEffects, "at", free=1)
    reader = sent(live, f"i/{identity_of(live)}/effects", b'{"text": "The United States", "pairs": 80}')
    answer = http.client.HTTPResponse(reader)
    answer.begin()
    until(lambda: gate.calls == 2)
    live.server.stop()
    *made, mark, reason = parts_of(answer.read())
    assert len(made) == 1
    assert (mark, reason) == (b"", b"the server is being stopped")
    reader.close()
    gate.open()
    assert not [record for record in caplog.records if record.exc_info]


WORKS = """
import time
from sae_vis.server.served import Desk
Desk._tried = lambda *_: (print("works", flush=True), time.sleep(1000))
"""


@pytest.mark.parametrize("works", [False, True], ids=["at rest", "while the model works"])
def test_ctrl_c_ends_it(made, works):
    code = f"{WORKS if works else ''}\nfrom sae_vis.cli import main\nmain()"
    assets = demo.assets()
    options = [
        "--model",
        str(assets / "model"),
        "--sae",
        str(assets / demo.RESID.folder),
        "--no-browser",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(made), *options, "--no-notes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        host, token = address.removeprefix("http://").rstrip("/").split("/")
        if works:
            connection = http.client.HTTPConnection(host, timeout=PATIENCE)
            connection.request("GET", f"/{token}/head")
            identity = _identity(connection.getresponse().read())
            body, kind = '{"text": "a"}', {"content-type": "application/json"}
            connection.request("POST", f"/{token}/i/{identity}/try", body, kind)
            assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
    if works:
        assert connection.getresponse().status == 503
        connection.close()


def _identity(head: bytes) -> str:
    from sae_vis.contract import ExplorerHead
    from tests.server.conftest import decoded

    return decoded(head, ExplorerHead).identity


def test_a_port_that_is_taken(made, client, monkeypatch):
    monkeypatch.setattr(run, "PORT", client.at[1])
    found = server_of(made, ServerSettings(open_browser=False))  # the usual port: another one is as good
    assert f":{client.at[1]}/" not in found.address
    with running(found) as other:
        assert other.get("head").status == 200


def test_a_server_that_can_not_be_made_leaves_its_port(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Exception, match=r"has no manifest\.json"):
        server_of(tmp_path / "nothing", ServerSettings(port=port, open_browser=False))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def test_a_full_disk_is_no_end_of_effects(live, monkeypatch):
    """Cards with all effects are answered though the effects can't be kept beside the index."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sae_vis.index.storage._sync", full)
    assert live.get(f"i/{identity_of(live)}/full/18").status == 200


def test_where_an_event_loop_runs_it_says_what_to_do(made):
    async def in_a_notebook():
        serve(made)

    with pytest.raises(InputError, match=r"use index\.explore\(\)"):
        asyncio.run(in_a_notebook())
