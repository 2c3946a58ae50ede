import asyncio
import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocketDisconnect

from index.errors import AccessError, ForbiddenError, InputError
from service.access import AccessMiddleware, Caller, check_binding, needed_scope, parse_rate
from service.keys import KeyStore, Scope
from service.settings import Settings

HERE = "127.0.0.1"
AWAY = "203.0.113.7"


class Door:
    """The middleware in front of an app that says who was let in."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.keys = KeyStore(folder / "keys.json")
        settings = Settings(data=folder, **given)  # type: ignore[arg-type]
        self.app = AccessMiddleware(greet, settings=settings, keys=self.keys)

    def send(
        self,
        method: str = "GET",
        path: str = "/ask",
        *,
        client: str = HERE,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        base: str = "http://127.0.0.1:8000",
    ) -> tuple[int, str]:
        """Return the status and the body of the answer."""
        response = self.response(method, path, client=client, key=key, headers=headers, base=base)
        return response.status_code, response.text

    def response(  # type: ignore[no-untyped-def]  # noqa: ANN201 - starlette brings its own httpx
        self,
        method: str = "GET",
        path: str = "/ask",
        *,
        client: str = HERE,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        base: str = "http://127.0.0.1:8000",
    ):
        bearer = {"authorization": f"Bearer {key}"} if key else {}
        caller = TestClient(self.app, base_url=base, client=(client, 50000))
        return caller.request(method, path, headers={**bearer, **(headers or {})})

    def status(self, method: str = "GET", path: str = "/ask", *, client: str = HERE, key: str = "") -> int:
        return self.send(method, path, client=client, key=key)[0]


async def greet(scope: Connection, receive: Receive, send: Send) -> None:
    caller = scope.get("state", {}).get("caller")
    await PlainTextResponse(f"{caller.name} {sorted(caller.scopes)}" if caller else "anybody")(scope, receive, send)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


# What needs what


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        *(("GET", path, None) for path in ("/", "/healthz", "/readyz", "/docs", "/docs/swagger.js", "/openapi.json")),
        ("HEAD", "/ask.sh", None),
        ("GET", "/ask", "ask"),
        ("HEAD", "/ask", "ask"),
        ("GET", "/ask/", "ask"),
        ("GET", "/articles", "ask"),
        ("GET", "/articles/a/b", "ask"),
        ("GET", "/citations/x", "ask"),
        ("GET", "/collections", "ask"),
        ("DELETE", "/collections", "manage"),
        ("POST", "/ask", "ask"),
        ("POST", "/verify", "ask"),
        ("GET", "/metrics", "manage"),
        ("GET", "/verify", "manage"),
        ("GET", "/articlesandmore", "manage"),
        ("GET", "/asked", "manage"),
        ("GET", "/docsx", "manage"),
        ("GET", "/unheard-of", "manage"),
        ("GET", "//ask", "manage"),
        ("POST", "/articles", "manage"),
        ("PUT", "/articles/x", "manage"),
        ("DELETE", "/articles/x", "manage"),
        ("PATCH", "/ask", "manage"),
        ("POST", "/healthz", "manage"),
        ("OPTIONS", "/articles", "manage"),
        ("get", "/ask", "manage"),
    ],
)
def test_what_needs_which_scope(method: str, path: str, scope: Scope | None) -> None:
    assert needed_scope(method, path) == scope


@given(method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]), path=st.text())
def test_nothing_but_reading_goes_without_manage_save_two_addresses(method: str, path: str) -> None:
    assert needed_scope(method, f"/{path}") == (
        "ask" if method == "POST" and path.rstrip("/") in {"ask", "verify"} else "manage"
    )


# With keys


def test_with_keys_all_need_one_that_has_the_scope(door: Door) -> None:
    reader, reading = door.keys.create("a reader", ["ask"])
    feeder, feeding = door.keys.create("a feeder", ["manage"])
    for client in (HERE, AWAY):
        assert door.send(key=reading, client=client) == (200, f"{reader.id} ['ask']")
        assert door.send("DELETE", "/articles/x", key=feeding, client=client) == (200, f"{feeder.id} ['manage']")
        assert door.status("DELETE", "/articles/x", key=reading, client=client) == 403
        assert door.status(key=feeding, client=client) == 403, "manage does not bring ask with it"
        assert door.status(client=client) == 401
        assert door.status("GET", "/healthz", client=client) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer ql_00000000_" + "a" * 43},
        {"authorization": "Basic TOKEN"},
        {"authorization": "TOKEN"},
        {"authorization": "Bearer TOKENx"},
        {"authorization": "Bearer TOKEN TOKEN"},
        {"x-api-key": "TOKEN"},
        {"cookie": "authorization=TOKEN"},
    ],
)
def test_what_is_no_key_is_401_and_says_how_to_send_one(door: Door, headers: dict[str, str]) -> None:
    _, token = door.keys.create("a reader", ["ask"])
    response = door.response(headers={name: value.replace("TOKEN", token) for name, value in headers.items()})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert token not in response.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_in_any_case(door: Door, scheme: str) -> None:
    _, token = door.keys.create("a reader", ["ask"])
    assert door.send(headers={"authorization": f"{scheme} {token}"})[0] == 200


def test_a_key_in_the_address_is_not_seen(door: Door) -> None:
    _, token = door.keys.create("a reader", ["ask"])
    assert door.status("GET", f"/ask?key={token}&access_token={token}&authorization=Bearer%20{token}") == 401


def test_keys_that_come_and_go_are_noticed_by_a_running_service(door: Door, tmp_path: Path) -> None:
    another = KeyStore(tmp_path / "keys.json")
    assert door.status() == 200
    key, token = another.create("a reader", ["ask"])
    assert door.status() == 401
    assert door.status(key=token) == 200
    another.revoke(key.id)
    assert door.status(key=token) == 401
    assert door.status() == 401, "the last key is gone, and the door is shut"


@pytest.mark.parametrize("damaged", ["", "{}", '{"version": 1, "keys": 0}'])
def test_keys_that_cannot_be_read_let_nobody_in(door: Door, damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    _, token = door.keys.create("an editor", ["ask", "manage"])
    door.keys.path.write_text(damaged, encoding="utf-8")
    for key in ("", token):
        status, text = door.send(key=key)
        assert status in {500, 503}
        assert str(door.keys.path) not in text
    assert "keys.json is damaged" in caplog.text
    assert token not in caplog.text
    assert door.status("GET", "/healthz") == 200


def test_keys_that_vanish_let_nobody_in(door: Door) -> None:
    _, token = door.keys.create("an editor", ["ask", "manage"])
    assert door.status(key=token) == 200
    door.keys.path.unlink()
    assert door.status() in {500, 503}
    assert door.status(key=token) in {500, 503}


def test_with_keys_a_page_that_has_one_may_do_as_its_key_does_by_any_name(door: Door) -> None:
    _, token = door.keys.create("an editor", ["manage"])
    headers = {"origin": "https://elsewhere.example", "sec-fetch-site": "cross-site", "host": "quoteline.example"}
    assert door.send("POST", "/articles", key=token, headers=headers)[0] == 200


def test_with_keys_what_is_open_is_open_no_more(tmp_path: Path) -> None:
    door = Door(tmp_path, open="manage")
    assert door.status(client=AWAY) == 200
    door.keys.create("a reader", ["ask"])
    assert door.status(client=AWAY) == 401


# Without keys


@pytest.mark.parametrize(
    ("client", "here"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("172.17.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens here
        ("::", False),
        ("::2", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("testclient", False),
        ("", False),
    ],
)
def test_without_keys_this_machine_may_do_all_and_others_nothing(door: Door, client: str, here: bool) -> None:
    for method, path in (("GET", "/ask"), ("POST", "/articles"), ("GET", "/metrics")):
        assert door.status(method, path, client=client) == (200 if here else 403)
    assert door.status("GET", "/readyz", client=client) == 200


@pytest.mark.parametrize(("opened", "asking", "managing"), [("no", 403, 403), ("ask", 200, 403), ("manage", 200, 200)])
def test_without_keys_others_may_do_what_is_open(
    tmp_path: Path, opened: Literal["no", "ask", "manage"], asking: int, managing: int
) -> None:
    door = Door(tmp_path, open=opened)
    assert door.status(client=AWAY) == asking
    assert door.status("POST", "/articles", client=AWAY) == managing
    assert door.status("POST", "/articles", client=HERE) == 200


def test_a_connection_without_an_address_is_another_machines(door: Door) -> None:
    sent: list[int] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("status", 0))

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/articles",
        "headers": [(b"host", b"127.0.0.1")],
        "client": None,
    }
    asyncio.run(door.app(scope, receive, send))
    assert sent[0] == 403


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip"])
def test_what_a_caller_says_of_its_address_is_not_believed(door: Door, header: str) -> None:
    assert door.send(client=AWAY, headers={header: HERE})[0] == 403
    assert door.send(client=HERE, headers={header: AWAY})[1].startswith(HERE)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.1.5:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("quoteline.localhost:8000", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("localhost.evil.example", 403),
        ("evillocalhost", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.1@evil.example", 403),
        ("[::1", 403),
        ("", 403),
        ("news.example", 403),
    ],
)
def test_a_name_that_a_stranger_lets_point_here_is_refused(door: Door, host: str, status: int) -> None:
    answered, text = door.send(headers={"host": host})
    assert answered == status
    assert status == 200 or "QUOTELINE_PUBLIC_URL" in text
    assert door.send("GET", "/healthz", headers={"host": host})[0] == 200


@pytest.mark.parametrize("setting", [{"public_url": "https://news.example:8443/"}, {"host": "news.example"}])
def test_a_name_that_was_set_is_no_strangers(tmp_path: Path, setting: dict[str, str]) -> None:
    door = Door(tmp_path, **setting)
    assert door.send(headers={"host": "News.Example:8443"})[0] == 200
    assert door.send(headers={"host": "other.example"})[0] == 403


def test_no_name_is_no_name_of_a_service_that_listens_everywhere(tmp_path: Path) -> None:
    assert Door(tmp_path, host="").send(headers={"host": ""})[0] == 403


def test_other_machines_may_call_an_open_service_by_any_name(tmp_path: Path) -> None:
    assert Door(tmp_path, open="ask").send(client=AWAY, headers={"host": "quoteline:8000"})[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_what_a_page_of_another_site_sends_is_refused(
    door: Door, method: str, headers: dict[str, str], status: int
) -> None:
    assert door.send(method, "/articles/x", headers=headers)[0] == status
    assert door.send("POST", "/ask", headers=headers)[0] == status
    assert door.send("GET", "/ask", headers=headers)[0] == 200, "reading the answer is what CORS is for"


def test_the_pages_of_the_public_address_are_the_services_own(tmp_path: Path) -> None:
    door = Door(tmp_path, public_url="https://news.example/quotes")
    assert door.send("POST", "/articles", headers={"origin": "https://news.example"})[0] == 200
    assert door.send("POST", "/articles", headers={"origin": "https://news.example.evil.example"})[0] == 403


@pytest.mark.parametrize("cors", ["https://a.example, https://Pages.example/", "*"])
def test_a_site_that_may_read_answers_may_ask_but_not_manage(tmp_path: Path, cors: str) -> None:
    door = Door(tmp_path, cors=cors)
    headers = {"origin": "https://pages.example", "sec-fetch-site": "cross-site"}
    assert door.send("POST", "/ask", headers=headers)[0] == 200
    assert door.send("POST", "/articles", headers=headers)[0] == 403
    assert door.send("POST", "/ask", headers={"origin": "https://evil.example"})[0] == (200 if cors == "*" else 403)


def test_a_preflight_passes_and_another_options_does_not(door: Door) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert door.send("OPTIONS", "/articles", client=AWAY, headers=asked) == (200, "anybody")
    assert door.send("OPTIONS", "/articles", client=AWAY)[0] == 403
    assert door.send("POST", "/articles", client=AWAY, headers=asked)[0] == 403


# Rates. A window of a day: none of these tests lasts until the next.


def test_past_the_rate_a_caller_is_told_when_to_come_back(tmp_path: Path) -> None:
    door = Door(tmp_path, open="ask", rate="3/day")
    assert [door.status(client=AWAY) for _ in range(3)] == [200] * 3
    response = door.response(client=AWAY)
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 24 * 60 * 60
    assert "3 per 1 day" in response.json()["detail"]
    assert door.status("GET", "/healthz", client=AWAY) == 200
    assert door.status(client="203.0.113.8") == 200, "another address has a rate of its own"


def test_who_waits_as_long_as_told_is_let_in_again(tmp_path: Path) -> None:
    door = Door(tmp_path, open="ask", rate="2/second")
    responses = [door.response(client=AWAY) for _ in range(5)]
    refused = responses[-1]
    assert refused.status_code == 429
    time.sleep(int(refused.headers["retry-after"]))
    assert door.status(client=AWAY) == 200


def test_each_key_has_a_rate_of_its_own_wherever_it_is_used(tmp_path: Path) -> None:
    door = Door(tmp_path, rate="2/day")
    (_, one), (_, two) = door.keys.create("one", ["ask"]), door.keys.create("two", ["ask"])
    assert [door.status(key=one, client=client) for client in (HERE, AWAY, HERE)] == [200, 200, 429]
    assert [door.status(key=two, client=HERE) for _ in range(3)] == [200, 200, 429]


def test_an_ipv6_network_of_64_bits_is_one_caller(tmp_path: Path) -> None:
    door = Door(tmp_path, open="ask", rate="2/day")
    clients = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3", "2001:db8:0:2::1"]
    assert [door.status(client=client) for client in clients] == [200, 200, 429, 200]


def test_an_ipv4_address_is_one_caller_however_it_is_written(tmp_path: Path) -> None:
    door = Door(tmp_path, open="ask", rate="1/day")
    assert [door.status(client=client) for client in (AWAY, f"::ffff:{AWAY}")] == [200, 429]


@pytest.mark.parametrize(
    ("rate", "client", "last"), [("", HERE, 200), ("", AWAY, 429), ("off", AWAY, 200), ("600/day", HERE, 429)]
)
def test_this_machine_is_limited_only_where_a_rate_is_set(tmp_path: Path, rate: str, client: str, last: int) -> None:
    door = Door(tmp_path, open="ask", rate=rate)
    # Twice the rate: with that, the count is past it even where a minute ended meanwhile.
    statuses = [asyncio.run(status_of(door, client)) for _ in range(1201 if last == 429 else 650)]
    assert statuses[0] == 200
    assert (429 in statuses) == (last == 429)


async def status_of(door: Door, client: str) -> int:
    """What `Door.status` does, without a client's work: for tests that send many."""
    sent: list[int] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("status", 0))

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": "/ask", "headers": headers, "client": (client, 1)}
    await door.app(scope, receive, send)
    return sent[0]


def test_guesses_of_keys_are_bounded_and_lock_nobody_else_out(tmp_path: Path) -> None:
    door = Door(tmp_path, rate="off")
    _, token = door.keys.create("a reader", ["ask"])
    statuses = [door.status(key=f"ql_00000000_{number:043d}", client=AWAY) for number in range(61)]
    assert statuses[:30] == [401] * 30
    assert statuses[-1] == 429
    assert int(door.response(key="guess", client=AWAY).headers["retry-after"]) >= 1
    assert door.status(key=token, client=AWAY) == 200, "behind one proxy all have one address"
    assert door.status(key="guess", client="203.0.113.8") == 401


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("600/minute", "600 per 1 minute"),
        ("", "600 per 1 minute"),
        ("5 per 10 seconds", "5 per 10 second"),
        ("off", ""),
    ],
)
def test_a_rate_is_read(text: str, said: str) -> None:
    rate = parse_rate(text)
    assert (repr(rate) if rate else "") == said


@pytest.mark.parametrize(
    "text", ["600", "minute", "0/minute", "-1/minute", "600/fortnight", "1/second;9/minute", "none", " ", "600/minute!"]
)
def test_what_is_no_rate_is_an_error_that_says_what_one_looks_like(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"no rate: QUOTELINE_RATE is .* such as 600/minute"):
        parse_rate(text)
    with pytest.raises(InputError):
        Door(tmp_path, rate=text)


# Callers


def test_a_caller_of_some_collections_gets_those_and_no_others() -> None:
    caller = Caller("01234567", frozenset({"ask"}), frozenset({"news", "law"}))
    assert caller.collections_asked([]) == ("law", "news")
    assert caller.collections_asked(["news"]) == ("news",)
    assert caller.collections_asked(["news", "law"]) == ("news", "law")
    with pytest.raises(ForbiddenError, match=r"not for 'letters'; it is for law, news"):
        caller.collections_asked(["news", "letters"])
    assert caller.admits("law")
    assert not caller.admits("letters")


def test_a_caller_of_all_collections_gets_those_wanted() -> None:
    caller = Caller("01234567", frozenset({"ask"}), None)
    assert caller.collections_asked([]) == ()
    assert caller.collections_asked(["letters"]) == ("letters",)
    assert caller.admits("letters")


def test_a_caller_of_no_collection_cannot_be() -> None:
    with pytest.raises(ValueError, match="no collection"):
        Caller("01234567", frozenset({"ask"}), frozenset())


@given(
    own=st.frozensets(st.sampled_from("abcd"), min_size=1),
    wanted=st.lists(st.sampled_from("abcd"), max_size=4),
)
def test_what_is_searched_is_always_the_callers_own(own: frozenset[str], wanted: list[str]) -> None:
    caller = Caller("01234567", frozenset({"ask"}), own)
    if set(wanted) <= own:
        asked = caller.collections_asked(wanted)
        assert asked, "nothing named would be everything"
        assert set(asked) <= own
    else:
        with pytest.raises(ForbiddenError):
            caller.collections_asked(wanted)


# Starting


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens here
        ("::", False),
        ("192.168.1.5", False),
        ("myhost", False),
    ],
)
def test_a_service_that_others_reach_needs_keys_or_to_be_open(tmp_path: Path, host: str, here: bool) -> None:
    keys = KeyStore(tmp_path / "keys.json")
    if here:
        check_binding(Settings(host=host), keys)
    else:
        with pytest.raises(InputError, match=r"quoteline keys create.*QUOTELINE_OPEN=ask.*127\.0\.0\.1"):
            check_binding(Settings(host=host), keys)
    check_binding(Settings(host=host, open="ask"), keys)
    keys.create("a reader", ["ask"])
    check_binding(Settings(host=host), keys)


def test_a_service_does_not_start_on_keys_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{", encoding="utf-8")
    with pytest.raises(AccessError, match="damaged"):
        check_binding(Settings(host="127.0.0.1"), KeyStore(tmp_path / "keys.json"))


# On the wire


def test_websockets_are_refused(door: Door) -> None:
    client = TestClient(door.app, base_url="http://127.0.0.1", client=(HERE, 50000))
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/ask"):
        pass
    assert refused.value.code == 1008


def test_starting_and_ending_reach_the_app(tmp_path: Path) -> None:
    reached: list[str] = []

    async def app(scope: Connection, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            reached.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    door = AccessMiddleware(app, settings=Settings(data=tmp_path), keys=KeyStore(tmp_path / "keys.json"))
    with TestClient(door):
        pass
    assert reached == ["lifespan.startup", "lifespan.shutdown"]


@contextmanager
def listening(door: Door) -> Iterator[http.client.HTTPConnection]:
    server = uvicorn.Server(uvicorn.Config(door.app, lifespan="off", log_level="error"))
    with socket.create_server((HERE, 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        connection = http.client.HTTPConnection(HERE, listener.getsockname()[1], timeout=10)
        try:
            yield connection
        finally:
            connection.close()
            server.should_exit = True
            thread.join()


def test_after_a_refused_body_the_connection_serves_the_next_request(door: Door) -> None:
    _, token = door.keys.create("a reader", ["ask"])
    with listening(door) as connection:
        sockets = set()
        for size in (0, 10, 3_000_000):
            connection.request("POST", "/ask", body=b"GET /ask HTTP/1.1\r\n"[:size].ljust(size, b"x"))
            response = connection.getresponse()
            assert re.search("key", response.read().decode())
            assert response.status == 401
            sockets.add(connection.sock)
        connection.request("GET", "/ask", headers={"authorization": f"Bearer {token}"})
        response = connection.getresponse()
        assert (response.status, b"['ask']" in response.read()) == (200, True)
        assert sockets == {connection.sock}
