"""Who is answered and who is not: every request as its bytes, to a server that listens."""

from __future__ import annotations

import json
import random
import re
import socket

import pytest

from sae_vis.errors import InputError
from sae_vis.server.guard import LARGEST
from sae_vis.server.kept import KeptAnswers
from sae_vis.server.run import HTTP, Server, ServerSettings, _hosts
from sae_vis.server.serve import serve
from tests.fixtures.live_server import Answer, Client
from tests.server.conftest import server_of

pytestmark = pytest.mark.explorer

EVERY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1",
    "127.0.0.1:1",
    "localhost",
    "127.0.0.1:{port}.evil.example",
    "[::1]",
    "0.0.0.0:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}:{port}",
    "127.1:{port}",
]
ORIGINS = [
    "null",
    "http://evil.example",
    "https://evil.example:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "ftp://127.0.0.1:{port}",
    "file://",
    "http://127.0.0.1:{port}.evil.example",
    "http://127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}",
    "chrome-extension://abcdef",
    "http://evil.example#http://127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "data:text/html,x",
]
PATHS = [
    r"..",
    r"../",
    r"../../etc/passwd",
    r"%2e%2e/%2e%2e/etc/passwd",
    r"..%2f..%2fetc%2fpasswd",
    r"/",
    r"//",
    r"//head",
    r"./head",
    r"head/",
    r"head/..",
    r"head%00",
    r"%00",
    r"\..\head",
    r"%5c..%5chead",
    r"file:///etc/passwd",
    r"//evil.example/",
    r"//evil.example/%2f..",
    r"head;x",
    r"head%3f",
    r"i",
    r"i/",
    r"i//head",
    r"i/%2e%2e/head/x",
    r"i/{identity}",
    r"i/{identity}/",
    r"i/{identity}/manifest.json",
    r"i/{identity}/with/{identity}",
    r"i/{identity}/card",
    r"i/{identity}/card/",
    r"i/{identity}/card/-1",
    r"i/{identity}/card/1.5",
    r"i/{identity}/card/1/",
    r"i/{identity}/card/%D9%A1",
    r"i/{identity}/card/1e3",
    r"i/{identity}/card/0x1",
    r"i/{identity}/card/%201",
    r"i/{identity}/read/1/-1",
    r"i/{identity}/card/9999999999999999999",
]
OPENS = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")


def opened(client: Client, *lines: str, method: str = "GET", path: str = "head", version: str = "1.1") -> Answer:
    """The answer to a request with its Host and further lines."""
    answer = client.lines(f"{method} /{client.token}/{path} HTTP/{version}", f"Host: {client.host}", *lines)
    assert answer is not None
    return answer


def is_refused(answer: Answer | None, status: int) -> bool:
    """Whether an answer has nothing but a reason, which may not be kept."""
    return answer is not None and answer.status == status and set(answer.said) == {"error"} and unkept(answer)


def unkept(answer: Answer) -> bool:
    return answer.headers["cache-control"] == "no-store" and EVERY.items() <= answer.headers.items()


def test_own_page_is_answered(client):
    port = client.at[1]
    for host in (client.host, f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        answer = client.lines(f"GET /{client.token}/head HTTP/1.1", f"Host: {host}")
        assert answer is not None
        assert answer.status == 200
        assert unkept(answer)
    assert opened(client, f"Origin: http://{client.host}", "Sec-Fetch-Site: same-origin").status == 200
    assert opened(client, f"Origin: HTTPS://LocalHost:{port}").status == 200


@pytest.mark.parametrize("host", [*HOSTS, ""])
def test_another_host_is_refused_whatever_the_token(client, host):
    named = f"Host: {host.format(port=client.at[1])}"
    right, wrong = (client.lines(f"GET /{token}/head HTTP/1.1", named) for token in (client.token, "wrong"))
    assert is_refused(right, 403)
    assert (right.status, right.body) == (wrong.status, wrong.body)


def test_a_request_without_a_host_is_refused(client):
    assert is_refused(client.lines(f"GET /{client.token}/head HTTP/1.0"), 403)
    assert client.lines(f"GET /{client.token}/head HTTP/1.1").status == 400


def test_two_headers_that_decide_are_refused(client):
    own = f"Host: {client.host}"
    for line in ("Host: evil.example", own):
        assert client.lines(f"GET /{client.token}/head HTTP/1.1", own, line).status == 400
        assert client.lines(f"GET /{client.token}/head HTTP/1.1", line, own).status == 400
    for line in (f"Origin: http://{client.host}", "Sec-Fetch-Site: same-origin", "Content-Type: application/json"):
        assert is_refused(opened(client, line, line), 400)
    assert is_refused(opened(client, "Origin: http://evil.example", f"oRIGIN: http://{client.host}"), 400)
    assert opened(client, "Content-Length: 0", "Content-Length: 5").status == 400
    assert opened(client, "X-Of-No-Weight: 1", "X-Of-No-Weight: 2").status == 200


@pytest.mark.parametrize("origin", [*ORIGINS, "", "http://127.0.0.1:{port} http://evil.example"])
def test_another_origin_is_refused_whatever_the_token(client, origin):
    line = f"Origin: {origin.format(port=client.at[1])}"
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        right = opened(client, line, *OPENS, method=method)
        wrong = client.lines(f"{method} /wrong/head HTTP/1.1", f"Host: {client.host}", line, *OPENS)
        assert is_refused(right, 403)
        assert (right.status, right.body) == (wrong.status, wrong.body)
        assert "access-control-allow-origin" not in right.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_asks_for_another_site_is_refused(client, site):
    said = f"Sec-Fetch-Site: {site}"
    for lines in ((), ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"), ("Sec-Fetch-Mode: cors",)):
        assert is_refused(opened(client, said, *lines), 403)
    assert is_refused(opened(client, said, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"), 403)
    assert is_refused(opened(client, said, *OPENS, method="POST"), 403)
    assert opened(client, said, *OPENS, path="").status == 200  # a link to the explorer that is clicked elsewhere


def test_a_wrong_token_is_like_any_other(client):
    """Whatever of it is right, and however long it is."""
    token, answers = client.token, set()
    others = ["", "x", token[:-1], token + "a", token.swapcase(), token[::-1], "%00", "a" * 20_000, "é", token + "%00"]
    for other in others:
        for rest in ("/", "/head", "/i/x/card/1", ""):
            if (other, rest) == ("", ""):
                continue
            answer = client.ask("GET", f"/{other.replace('é', '%C3%A9')}{rest}")
            assert is_refused(answer, 404)
            answers.add(answer.body)
    answers.add(client.ask("GET", f"/{token}").body)  # its slash is missing
    assert len(answers) == 1
    assert token.encode() not in answers.pop()


@pytest.mark.parametrize("path", [*PATHS, "i/{identity}/card/" + "9" * 5000, "a" * 10_000])
def test_paths_that_lead_nowhere(client, identity, path):
    target = f"/{client.token}/{path.format(identity=identity)}"
    answer = client.lines(f"GET {target} HTTP/1.1", f"Host: {client.host}")
    assert is_refused(answer, 404)
    assert "location" not in answer.headers


def test_identities_that_are_none(client, identity):
    for other in ("..", "%2e%2e", "x", identity[:-1], identity.upper(), identity + "0", "%00"):
        for path in ("head", "card/1", "column/density", "notes", f"with/{identity}/head"):
            assert is_refused(client.get(f"i/{other}/{path}"), 410)
        assert is_refused(client.get(f"i/{identity}/with/{other}/head"), 410)


def test_targets_of_other_forms(client):
    own = f"Host: {client.host}"
    for target in (f"http://{client.host}/{client.token}/head", f"http://evil.example/{client.token}/head", "*", "x"):
        answer = client.lines(f"GET {target} HTTP/1.1", own)
        assert is_refused(answer, 404)
    assert client.lines(f"CONNECT {client.host} HTTP/1.1", own).status in (400, 404)
    assert client.lines(f"GET /{client.token}/%ff%fe HTTP/1.1", own).status == 404
    assert client.raw(f"GET /{client.token}/\xff HTTP/1.1\r\n{own}\r\n\r\n".encode("latin-1")).status in (400, 404)
    assert client.raw(f"GET /{client.token}/\0 HTTP/1.1\r\n{own}\r\n\r\n".encode("latin-1")).status == 400
    long = client.lines(f"GET /{client.token}/{'a' * 200_000} HTTP/1.1", own)
    assert long is None or long.status == 400  # it hangs up while the rest is still on its way


def test_other_methods(client, identity):
    for path, allowed in (("head", "GET"), (f"i/{identity}/try", "POST"), (f"i/{identity}/note/1", "PUT")):
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} - {allowed}:
            answer = client.get(path, method=method)
            assert is_refused(answer, 405)
            assert allowed in answer.headers["allow"]
    answer = client.get("head", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_bodies_that_are_too_large(client, identity):
    start = f"POST /{client.token}/i/{identity}/try HTTP/1.1", f"Host: {client.host}", "Content-Type: application/json"
    assert is_refused(client.lines(*start, f"Content-Length: {LARGEST + 1}"), 413)
    assert is_refused(client.lines(*start, f"Content-Length: {'9' * 20}"), 413)
    assert client.lines(*start, f"Content-Length: {'9' * 5000}").status == 400
    for wrong in ("-1", "1.5", "0x10", "²", "1, 2"):
        assert client.lines(*start, f"Content-Length: {wrong}").status in (400, 413)
    for size, status in ((LARGEST, 400), (LARGEST + 1, 413)):  # as chunks, of which nobody says beforehand how many
        body = b"".join(b"%x\r\n%s\r\n" % (n, b" " * n) for n in (size - 7, 7)) + b"0\r\n\r\n"
        answer = client.lines(*start, "Transfer-Encoding: chunked", body=body)
        assert is_refused(answer, status)
    said = b" " * (LARGEST - 20) + b'{"text": "the"}'
    assert client.send(f"i/{identity}/try", said).status == 200


def test_bodies_that_are_cut_off(client, identity):
    start = f"POST /{client.token}/i/{identity}/try HTTP/1.1", f"Host: {client.host}", "Content-Type: application/json"
    for lines, body in (
        (("Content-Length: 100",), b'{"text"'),
        (("Transfer-Encoding: chunked",), b"5\r\n{"),
        (("Transfer-Encoding: chunked",), b"zz\r\n{}\r\n0\r\n\r\n"),
    ):
        answer = client.lines(*start, *lines, body=body, ends=True)
        assert answer is None or answer.status >= 400
    assert client.get("head").status == 200


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "text/json"],
)
def test_bodies_of_another_type(client, identity, kind):
    answer = client.send(f"i/{identity}/try", {"text": "the"}, kind=kind)
    assert is_refused(answer, 400)
    assert answer.error == "the request's body is not said to be application/json"


def test_types_as_clients_spell_them(client, identity):
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;"):
        assert client.send(f"i/{identity}/try", {"text": "the"}, kind=kind).status == 200


NO_OBJECT = "the request's body is not a JSON object"
NO_JSON = "the request's body is not JSON: "


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", NO_JSON),
        (b"[]", NO_OBJECT),
        (b"null", NO_OBJECT),
        (b'"text"', NO_OBJECT),
        (b"{", NO_JSON),
        (b'{"text": "a"} x', NO_JSON),
        (b'{"text": "\xff"}', NO_JSON),
        (b"[" * 100_000, NO_JSON),
        (b'{"a":' * 100_000, NO_JSON),
        (b'{"text": ' + b"9" * 5000 + b"}", NO_JSON),
        (b"{}", "the request has no 'text', expected a text"),
        (b'{"text": 1}', "the request has no 'text', expected a text"),
        (b'{"text": null}', "the request has no 'text', expected a text"),
        (b'{"text": ["a"]}', "the request has no 'text', expected a text"),
        (b'{"text": ""}', "the prompt is empty"),
        (b'{"text": "a\\ud800b"}', "the text holds half a character ('\\ud800' at index 1), which is not text"),
        (json.dumps({"text": "ab " * 10_000}).encode(), "the text has "),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_bodies_that_say_nothing(client, identity, body, said):
    answer = client.send(f"i/{identity}/try", body)
    assert is_refused(answer, 400)
    assert answer.error.startswith(said)


@pytest.mark.parametrize("pairs", [None, 0, -1, 1.0, 1e300, float("inf"), float("nan"), "3", True, [3], -(10**4000)])
def test_numbers_that_are_none(client, identity, pairs):
    answer = client.send(f"i/{identity}/effects", {"text": "The war", "pairs": pairs})
    assert is_refused(answer, 400)
    assert answer.error.startswith("pairs is ")


@pytest.mark.parametrize("asked", ["-1", "1,", ",", "1.5", "1 2", "٣", "9" * 19, "1," * 600 + "1", "2048", "x"])
def test_features_that_are_none(client, identity, asked):
    path = f"i/{identity}/rows?f={asked.replace('٣', '%D9%A3').replace(' ', '%20')}"
    assert is_refused(client.get(path), 400)
    assert client.get(f"i/{identity}/rows?f=").status == 200
    assert client.get(f"i/{identity}/rows").status == 200


def test_features_that_do_not_exist(client, identity):
    for path in ("card/2048", "full/2048", f"card/{'9' * 18}", f"with/{identity}/pair/2048"):
        answer = client.get(f"i/{identity}/{path}")
        assert is_refused(answer, 400)
        assert re.fullmatch(r"feature \d+ does not exist: the SAE has features 0 to 2047", answer.error)


def test_a_prompt_that_is_too_long_is_refused_before_it_is_run(client, identity):
    for path, more in (("prompt", {}), ("effects", {"pairs": 2}), ("layers", {}), ("wakes", {})):
        answer = client.send(f"i/{identity}/{path}", {"text": "ab " * 2000, **more})
        assert is_refused(answer, 400)
        assert "but the model takes 256 at most: give a shorter one" in answer.error


def test_sockets_of_the_web_are_refused(client):
    lines = "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAA="
    assert opened(client, *lines, path="").status == 200  # as if it had not asked: no switch of protocols
    assert is_refused(client.lines("GET /x/ HTTP/1.1", f"Host: {client.host}", *lines), 404)


def test_the_page_allows_itself_only(client):
    answer = client.get("")
    assert answer.status == 200
    assert unkept(answer)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";") if part)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe-eval" not in str(policy)
    assert "unsafe-inline" not in policy["script-src"]
    assert client.token.encode() not in answer.body


def test_only_what_never_changes_is_kept(client, identity):
    for_good = "private, max-age=31536000, immutable"
    own = f"i/{identity}"
    for path in ("column/density", "rows?f=1", "search?q=the", f"with/{identity}/head", f"with/{identity}/pair/5"):
        assert client.get(f"{own}/{path}").headers["cache-control"] == for_good
    changing = (f"{own}/{path}" for path in ("head", "card/5", "full/5", "column/loss_effect", "notes"))
    for path in ("", "head", *changing):
        answer = client.get(path)
        assert answer.status == 200
        assert unkept(answer)
    for path, asked in (("try", {}), ("wakes", {}), ("prompt", {}), ("effects", {"pairs": 1}), ("layers", {})):
        answer = client.send(f"{own}/{path}", {"text": "The war", **asked})
        assert answer.status == 200
        assert unkept(answer)


def test_an_address_that_others_reach_needs_a_token():
    for host in ("0.0.0.0", "::", "192.168.0.7", "explorer.lab.org", "", "127.0.0.2"):
        with pytest.raises(InputError, match="which others can reach: give a token, too"):
            ServerSettings(host=host)
        assert ServerSettings(host=host, token="abcd1234").host == host
    for token in ("", "short", "with space1", "slash/1234", "ümlaut1234", "dots...."):
        with pytest.raises(InputError, match="expected at least 8 letters and digits"):
            ServerSettings(token=token)
    for port in (-1, 65536, 1 << 40):
        with pytest.raises(InputError, match="expected 0 to 65535"):
            ServerSettings(port=port)


def test_names_of_a_server():
    assert _hosts(ServerSettings(), 8765) == {"127.0.0.1:8765", "localhost:8765", "[::1]:8765"}
    assert "localhost" in _hosts(ServerSettings(), HTTP), "browsers leave this port out"
    away = ServerSettings(host="10.0.0.5", token="abcd1234", names=("Explorer.Lab.org",))
    assert _hosts(away, 99) == {"10.0.0.5:99", "explorer.lab.org"}


def test_a_feature_to_open_first(made, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(Server, "run", lambda self, began: (began(), self._socket.close(), self._app.close()))
    monkeypatch.setattr("sae_vis.server.serve.open_in_browser", opened.append)
    serve(made, settings=ServerSettings(port=0, token="abcd1234", first=5))
    serve(made, settings=ServerSettings(port=0, token="abcd1234"))
    assert [re.sub(r":\d+/", ":P/", one) for one in opened] == [
        "http://127.0.0.1:P/abcd1234/#f=5",
        "http://127.0.0.1:P/abcd1234/",
    ]
    assert opened[0] in capsys.readouterr().out
    with pytest.raises(InputError, match="feature 99999 does not exist"):
        serve(made, settings=ServerSettings(port=0, first=99999))
    with pytest.raises(InputError, match="first is -1"):
        ServerSettings(first=-1)


def test_tokens_are_never_the_same(made):
    first, second = server_of(made), server_of(made)
    tokens = [server.address.split("/")[3] for server in (first, second)]
    assert tokens[0] != tokens[1]
    assert all(len(token) >= 32 and token.isalnum() for token in tokens)
    for server in (first, second):
        server.stop()
        server.run()


def test_answers_are_sent_at_once(client, monkeypatch):
    """Without Nagle's algorithm: the body does not wait until the client has acknowledged the head."""
    set_option, seen = socket.socket.setsockopt, []

    def watched(self: socket.socket, *option: int) -> None:
        seen.append(option)
        set_option(self, *option)

    monkeypatch.setattr(socket.socket, "setsockopt", watched)
    with socket.create_connection(client.at) as found:
        found.sendall(f"GET /{client.token}/head HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode())
        assert found.recv(12) == b"HTTP/1.1 200"
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in seen


def test_a_port_that_is_taken_is_said(client, made):
    port = client.at[1]
    with pytest.raises(InputError, match=rf"can't listen at 127.0.0.1:{port}: .*; give another --port, 0 for any"):
        server_of(made, ServerSettings(port=port, open_browser=False))
    assert client.get("head").status == 200


def test_kept_answers_have_room_for_so_many_bytes():
    kept = KeptAnswers(room=100)
    for key in range(10):
        kept.put(key, bytes(20))
        kept.get(0)
    assert [key for key in range(10) if kept.get(key) is not None] == [0, 6, 7, 8, 9]
    kept.put("large", bytes(26))
    assert kept.get("large") is None
    kept.put(0, bytes(25))
    assert sum(kept.get(key) is not None for key in range(10)) == 4


# Whatever is sent

TOKENS = ["the", "\0", "\ud800", "é", "9" * 40, "-1", "1e309", "../..", "%2e%2e", "<script>", "'", '"', "\r\n", "😀"]

ENDS = [
    "card/{}",
    "full/{}",
    "rows?f={}",
    "column/{}",
    "search?q={}",
    "with/{}/head",
    "read/{}/{}",
    "try",
    "note/{}",
    "firing/{}?after={}",
    "place/{}/{}",
    "head",
    "notes",
    "prompt",
    "effects",
    "{}",
]
MORE = ["Origin: null", "Sec-Fetch-Site: cross-site", "Expect: 100-continue", "Range: bytes=0-"]


def odd_request(dice: random.Random, client: Client, identity: str) -> bytes:
    """A request that is wrong in some way, from one byte to all of it."""
    kind = dice.randrange(4)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 400)) + b"\r\n\r\n"
    words = [dice.choice([*TOKENS, str(dice.randrange(3000))]) for _ in range(2)]
    path = dice.choice(["i/" + identity, "i/" + identity, dice.choice(words)]) + "/" + dice.choice(ENDS).format(*words)
    body = json.dumps({dice.choice(["text", "pairs", "x"]): dice.choice([*words, 1e300, [], {}])}).encode()
    lines = [
        f"{dice.choice(['GET', 'POST', 'PUT', 'HEAD', 'get', 'X'])} /{client.token}/{path} HTTP/{dice.choice('10')}.1",
        f"Host: {dice.choice([client.host, client.host, 'evil.example'])}",
        f"Content-Type: {dice.choice(['application/json', 'text/plain'])}",
        f"Content-Length: {dice.choice([len(body), len(body), 0, -1, 10**9])}",
        *dice.sample(MORE, kind - 1),
    ]
    data = bytearray("".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogatepass") + body)
    for _ in range(dice.choice([0, 0, 1, 5])):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data) + b"\r\n" * 2000  # whatever more its lengths make the server wait for


def test_a_thousand_odd_requests(client, identity):
    """None is answered with what only the index's own addresses give, and the server is there afterwards."""
    dice = random.Random(16)
    before = client.get("head").body
    n_answers = {}
    for _ in range(1000):
        data = odd_request(dice, client, identity)
        answer = client.raw(data)
        if answer is None:
            continue
        assert answer.status < 500, data
        n_answers[answer.status] = n_answers.get(answer.status, 0) + 1
        if answer.status == 200:
            assert client.token.encode() in data
            assert client.host.encode() in data.lower()
            assert b"Origin: null" not in data or b"cross-site" not in data
    assert {200, 400, 403, 404} <= n_answers.keys()
    assert client.get("head").body == before
