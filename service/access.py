"""Who may do what over HTTP, decided before a byte of the body is read.

Once there are keys (`service/keys.py`), whatever needs a scope needs a key that has it, from this machine too. Without
keys, callers on this machine may do all, and others what `QUOTELINE_OPEN` says.

A caller's address is the other end of the connection. `X-Forwarded-For` and its like are not believed: anybody can
write them. Behind a proxy all callers have the proxy's address, which is one more reason to use keys there.
"""

import ipaddress
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor
from typing import Literal
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerMinute, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection
from starlette.websockets import WebSocketClose

from index.errors import ArticleNotFoundError, ForbiddenError, InputError, NoKeyError, QuotelineError, RateError
from index.store import Record, Store
from service.browsers import is_question, shows_refusals
from service.keys import SCOPES, KeyStore, Scope
from service.metrics import count_refusal
from service.problems import respond
from service.settings import Settings

_READING = frozenset({"GET", "HEAD"})
_SAFE = _READING | {"OPTIONS"}
_FOR_ALL = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json", "/ask.sh"})
_OPEN: Mapping[Literal["no", "ask", "manage"], frozenset[Scope]] = {
    "no": frozenset(),
    "ask": frozenset({"ask"}),
    "manage": SCOPES,
}

_DEFAULT_RATE = "600/minute"
# How many invalid keys one address may send. More than a client that has not heard of a new key does in good faith.
_GUESSES = RateLimitItemPerMinute(30)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and what they may do.

    name: the id of their key, or their address.
    collections: those that they may see and change; None for all.
    """

    name: str
    scopes: frozenset[Scope]
    collections: frozenset[str] | None

    def __post_init__(self) -> None:
        # What `collections_asked` returns for it would mean all collections.
        if self.collections is not None and not self.collections:
            raise ValueError(f"{self.name} is limited to no collection at all")

    def admits(self, collection: str) -> bool:
        """Whether the caller may see, and with the scope for it change, what is in `collection`."""
        return self.collections is None or collection in self.collections

    def record(self, store: Store, article_id: str, version: int | None = None) -> Record:
        """Return a version of an article, the newest if None. Raises ArticleNotFoundError, ArticleDeletedError."""
        with store.frozen():
            record = store.record(article_id, version)
            current = record if record.current else store.record(article_id)
        # An article belongs where its newest version does.
        self.check_sees(article_id, current.article.collection or "")
        return record

    def check_sees(self, article_id: str, collection: str) -> None:
        """Raise ArticleNotFoundError, as for one that is not there, where the article's collection is not theirs."""
        if not self.admits(collection):
            raise ArticleNotFoundError(f"there is no article {article_id!r}")

    def collections_asked(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the collections to search: those wanted, or all of the caller's where none is named; () is all.

        Raises ForbiddenError where one is not the caller's, whether or not there is one of that name.
        """
        own = tuple(sorted(self.collections or ()))
        if refused := [name for name in wanted if not self.admits(name)]:
            raise ForbiddenError(f"this key is not for {', '.join(map(repr, refused))}; it is for {', '.join(own)}")
        return tuple(wanted) or own


def needed_scope(method: str, path: str) -> Scope | None:
    """Return what a request needs a key for, None where it needs none; what is not known here needs `manage`."""
    path = path.rstrip("/") or "/"
    if method in _READING:
        if path in _FOR_ALL or path.startswith(("/docs/", "/page/")):
            return None
        if path in {"/ask", "/collections", "/mcp"} or any(
            path == top or path.startswith(f"{top}/") for top in ("/articles", "/citations", "/v1/models")
        ):
            return "ask"
    if method == "POST" and path in {"/ask", "/verify", "/v1/chat/completions", "/v1/responses", "/mcp"}:
        return "ask"
    if method == "DELETE" and path == "/mcp":
        return "ask"  # ends a session, and nothing else
    return "manage"


def parse_rate(text: str) -> RateLimitItem | None:
    """Return the rate that the setting `rate` says; None for `off`. Raises InputError."""
    if text.strip().lower() == "off":
        return None
    try:
        (rate,) = parse_many(text or _DEFAULT_RATE)
    except ValueError as error:
        raise _not_a_rate(text) from error
    if not rate.amount:
        raise _not_a_rate(text)
    return rate


def _not_a_rate(text: str) -> InputError:
    return InputError(
        f"{text!r} is no rate: QUOTELINE_RATE is a number of requests per second, minute, hour or day, "
        f"such as {_DEFAULT_RATE}, or `off`"
    )


def check_binding(settings: Settings, keys: KeyStore) -> None:
    """Raise InputError where a service would listen to other machines and refuse all they say.

    Raises AccessError where the keys cannot be read.
    """
    if keys.required() or settings.open != "no" or _is_this_machine(settings.host):
        return
    raise InputError(
        f"{settings.host or 'every address'} can be reached from other machines, and there are no keys; "
        "create a key with `quoteline keys create NAME`, or let others ask without one (QUOTELINE_OPEN=ask), "
        "or listen to this machine alone (QUOTELINE_HOST=127.0.0.1)"
    )


def _is_this_machine(host: str) -> bool:
    # Other names are not resolved: what they stand for can change after it was looked at.
    return host == "localhost" or _Address.of(host).loopback


class AccessMiddleware:
    """Lets a request through to `app`, or answers it with a problem document.

    Routes find who asks in `request.state.caller`, save those that need no scope: there it is not set.

    A refused request's body is not read. That needs no `Connection: close`: uvicorn itself reads on and throws away
    what still comes, so that the next request on the connection is found.

    Rates are counted in memory, by each process for itself: with several workers a caller gets as many times more.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, keys: KeyStore) -> None:
        """Take the rules from the settings. Raises InputError where `rate` is no rate."""
        self._app = app
        self._keys = keys
        self._open = _OPEN[settings.open]
        self._browsers = _Browsers(settings)
        self._rate = parse_rate(settings.rate)
        self._rate_here = self._rate if settings.rate else None
        self._counter = _Counter()

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            # No route speaks it. 1008: against the rules.
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Connection, receive: Receive, send: Send) -> None:
        try:
            caller = self._admit(scope)
        except QuotelineError as error:
            count_refusal("rate" if isinstance(error, RateError) else "key")
            if not shows_refusals(scope):
                await respond(error)(scope, receive, send)
                return
            # The page tells it, and asks for a key. Without a caller no route tells anything else.
            scope.setdefault("state", {})["refusal"] = error
            caller = None
        if caller is not None:
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _admit(self, scope: Connection) -> Caller | None:
        """Return who asks, None where it does not matter. Raises AccessError, RateError."""
        headers = Headers(scope=scope)
        needed = "ask" if is_question(scope) else needed_scope(scope["method"], scope["path"])
        if needed is None or _is_preflight(scope["method"], headers):
            return None
        client = scope.get("client")
        address = _Address.of(client[0] if client else "")
        if self._keys.required():
            return self._with_key(needed, headers, address)
        self._browsers.check(needed, scope["method"], headers, here=address.loopback)
        return self._without_key(needed, address)

    def _with_key(self, needed: Scope, headers: Headers, address: "_Address") -> Caller:
        token = _bearer(headers)
        if token is None:
            raise NoKeyError(
                "send a key in a header, `Authorization: Bearer ql_…`; "
                "who runs this service makes them with `quoteline keys create`"
            )
        key = self._keys.find(token)
        if key is None:
            # Counted after the key was looked for: all behind one proxy have one address, and one of them with an old
            # key must not lock out the others. What bounds guessing in earnest is that a secret has 256 bits.
            self._counter.count(_GUESSES, "guess", address.counted_as)
            raise NoKeyError("the key is not valid: it was revoked, or is not whole; ask who runs this service for one")
        self._counter.count(self._rate, "key", key.id)
        if needed not in key.scopes:
            raise ForbiddenError(
                f"this takes a key that may {needed}, and this one may {' and '.join(sorted(key.scopes))}; "
                f"`quoteline keys create NAME --scope {needed}` makes one"
            )
        return Caller(key.id, key.scopes, key.collections)

    def _without_key(self, needed: Scope, address: "_Address") -> Caller:
        scopes = SCOPES if address.loopback else self._open
        self._counter.count(self._rate_here if address.loopback else self._rate, "address", address.counted_as)
        if needed not in scopes:
            raise ForbiddenError(
                f"without a key nobody may {needed} from another machine; who runs this service can make one with "
                f"`quoteline keys create`, or allow it (QUOTELINE_OPEN={needed})"
            )
        return Caller(address.name, scopes, None)


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a request comes from.

    counted_as: a provider hands out IPv6 addresses by networks of 64 bits, so one caller has 2^64 of them.
    """

    name: str
    counted_as: str
    loopback: bool

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, host: str) -> "_Address":
        """Return the address that `host` is; what is none, is no loopback either.

        An empty one, say: a Unix socket has none, but a TCP connection that was reset at once has none any more.
        """
        try:
            found = ipaddress.ip_address(host)
        except ValueError:
            return cls(host or "unknown", host, loopback=False)
        if isinstance(found, ipaddress.IPv4Address):
            return cls(str(found), str(found), found.is_loopback)
        if found.ipv4_mapped:
            return cls.of(str(found.ipv4_mapped))
        network = ipaddress.IPv6Network((int(found), 64), strict=False)
        return cls(str(found), str(network), found.is_loopback)


class _Browsers:
    """What keeps web pages from using a browser, which is on this machine, as their tool where no key is needed."""

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.public_url)
        self._hosts = {settings.host.lower(), public.hostname} - {None, ""}
        self._public = f"{public.scheme}://{public.netloc}".lower()
        self._readers = {site.strip().rstrip("/").lower() for site in settings.cors.split(",")} - {""}

    def check(self, needed: Scope, method: str, headers: Headers, *, here: bool) -> None:
        """Raise ForbiddenError where a page of another site may be behind a request. here: it is from this machine."""
        if here:
            self._check_host(headers.get("host", ""))
        if method not in _SAFE:
            self._check_origin(needed, headers)

    def _check_host(self, host: str) -> None:
        """Refuse a name that any web site could have let point to this machine (DNS rebinding)."""
        name = _host_name(host)
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts or _is_address(name):
            return
        raise ForbiddenError(
            f"this service does not go by the name {host!r}; set QUOTELINE_PUBLIC_URL to the address that it is called "
            "by, or call it by http://127.0.0.1, or create a key with `quoteline keys create`"
        )

    def _check_origin(self, needed: Scope, headers: Headers) -> None:
        """Refuse what a page of another site sends: a form, or a script that need not read the answer."""
        origin = headers.get("origin", "").lower()
        # These sites may read answers, so they may ask. To change what is there they need a key like all others.
        if needed == "ask" and ({origin, "*"} & self._readers):
            return
        elsewhere = headers.get("sec-fetch-site", "").lower() in {"cross-site", "same-site"}
        if elsewhere or (origin and not self._is_own(origin, headers.get("host", "").lower())):
            raise ForbiddenError(
                f"a page of {origin or 'another site'} may not send this without a key; create one with "
                "`quoteline keys create`, or name the site in QUOTELINE_CORS if all it wants is to ask"
            )

    def _is_own(self, origin: str, host: str) -> bool:
        return origin == self._public or origin in {f"http://{host}", f"https://{host}"}


class _Counter:
    """Counts what callers do, and refuses what is too much.

    A sliding window of two counters: what a caller costs does not grow with the rate, and who is silent for two windows
    is forgotten. The library's moving window keeps every request's time, and every caller for ever.
    """

    def __init__(self) -> None:
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, rate: RateLimitItem | None, *who: str) -> None:
        """Count one more of `who`. Raises RateError where it is too much."""
        if rate is None or self._windows.hit(rate, *who):
            return
        room_at, _ = self._windows.get_window_stats(rate, *who)
        wait = max(1, floor(room_at - time.time()) + 1)
        what = "invalid keys" if rate is _GUESSES else "requests"
        raise RateError(f"too many {what}: there may be {rate}; try again in {wait} s", retry_after=wait)


def _is_preflight(method: str, headers: Headers) -> bool:
    # A browser's question whether it may send a request; it cannot send a key with it, and no route is behind it.
    return method == "OPTIONS" and "access-control-request-method" in headers


def _bearer(headers: Headers) -> str | None:
    # Only here: what stands in an address is kept in logs and histories.
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


@lru_cache(maxsize=1024)
def _host_name(host: str) -> str:
    """Return the name in a Host header, without the port; nothing where it makes no sense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
