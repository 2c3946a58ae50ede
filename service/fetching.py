"""Documents fetched from the web on somebody's behalf: from the public internet only, within limits of time and size.

Who may name an address to a server can make it knock on doors that are closed to them: the machine's own ports, the
network behind it, a cloud's metadata (server-side request forgery). So every name is looked up here, all its addresses
must be public, and the connection goes to an address that was checked; there is no second lookup that could answer
otherwise. httpcore rather than httpx carries the request: it knows no proxies, cookies, passwords or redirects, all of
which would have to be kept away.
"""

import queue
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore
import httpx

from index.errors import FetchError
from index.formats import MAX_DOCUMENT_BYTES

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

TIMEOUT = 20.0
MAX_REDIRECTS = 5
PORTS = (80, 443, 8080, 8443)

# What is not reached over the public internet: IANA's registries of special-purpose addresses, and what they leave out.
# `is_global` of Python 3.11 alone lets some of these through.
BLOCKED: Sequence[IPNetwork] = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 is this machine
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers; Alibaba's metadata
        "127.0.0.0/8",  # this machine
        "168.63.129.16/32",  # the host of a machine in Azure: registered as public, but answered from inside
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        # IPv6 outside 2000::/3 is blocked as a whole, in `is_public`: loopback, mapped and compatible IPv4, link-local,
        # site-local, unique local, multicast, and NAT64 with a prefix of the network's own.
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID, drones
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, given back
        "3fff::/20",  # documentation
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

_ACCEPT = (
    b"text/html, application/xhtml+xml, text/markdown, text/plain, application/pdf, application/rss+xml,"
    b" application/atom+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1"
)
_LONGEST_HOST = 253
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_REDIRECTS = (301, 302, 303, 307, 308)
# The most addresses of one name that are tried, one after the other.
_MOST_ADDRESSES = 4
# The most that one step of decompression may yield, in bytes.
_PIECE = 64 * 1024

Lookup = Callable[[str], Sequence[IPAddress]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as it was sent.

    url: where it was found in the end, after redirects, without a fragment.
    media_type: the Content-Type header, parameters and all; empty where none was sent.
    """

    url: str
    media_type: str
    content: bytes


def is_public(address: IPAddress) -> bool:
    """Whether `address` is reached over the public internet, and by nothing but it."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            # Where names resolve to NAT64, this is how all of IPv4 is reached.
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST or address.scope_id is not None:
            return False
    if any(address in network for network in BLOCKED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def look_up(host: str) -> Sequence[IPAddress]:
    """Return every address of `host`, in the order to try them; none where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ip_address(place[0]) for *_, place in found]


class Fetcher:
    """Fetches documents; any number of threads may share one.

    timeout: seconds that one fetch may take in all, lookups and redirects included.
    max_bytes: the largest document, decompressed.
    lookup, network: how names become addresses, and how an address that was found public is connected to; for tests.
    """

    def __init__(
        self,
        *,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_DOCUMENT_BYTES,
        lookup: Lookup = look_up,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._lookup = lookup
        self._network = network or httpcore.SyncBackend()
        self._headers = [
            (b"User-Agent", f"Quoteline/{version('quoteline')} (+fetch)".encode()),
            (b"Accept", _ACCEPT),
            (b"Accept-Encoding", b"gzip, identity"),
        ]

    def fetch(self, url: str) -> Fetched:
        """Return the document at `url`; redirects are followed.

        Blocks for up to `timeout` seconds. Raises FetchError, whose message is for whoever named the address.
        """
        deadline = _Deadline(self._timeout)
        network = _PublicNetwork(self._network, self._lookup, deadline)
        at = _address(url)
        for _ in range(MAX_REDIRECTS + 1):
            tls = self._tls if at.scheme == "https" else None
            with _in_our_words(at.host, deadline), httpcore.ConnectionPool(tls, network_backend=network) as pool:
                found = self._get(pool, at)
            if isinstance(found, Fetched):
                return found
            at = found
        raise FetchError(f"The address redirects more than {MAX_REDIRECTS} times; send where it leads to instead.")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # It takes a tenth of a second to read all the certificates that are trusted.
        return httpcore.default_ssl_context()

    def _get(self, pool: httpcore.ConnectionPool, at: httpx.URL) -> Fetched | httpx.URL:
        """Return the document at `at`, or where it redirects to."""
        target = httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
        headers = [(b"Host", at.netloc), *self._headers]
        with pool.stream("GET", target, headers=headers) as response:
            if response.status in _REDIRECTS and (location := _header(response, b"location")):
                return _redirected(at, location)
            if response.status != 200:
                raise FetchError(f"{at.host} answered with status {response.status}; check the address.")
            content = self._content(at.host, response)
            return Fetched(str(at), _header(response, b"content-type"), content)

    def _content(self, host: str, response: httpcore.Response) -> bytes:
        content = bytearray()
        for piece in _decoded(host, _header(response, b"content-encoding"), response.iter_stream()):
            content += piece
            if len(content) > self._max_bytes:
                raise FetchError(
                    f"The document at {host} is larger than {self._max_bytes} bytes, the limit for one document."
                )
        return bytes(content)


def _address(url: str) -> httpx.URL:
    """Return `url`, parsed once for all that follows, so that no two parsers can read it differently."""
    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
        is_named = parsed.host != "" and _is_host(parsed.raw_host.decode("ascii"))
    except (httpx.InvalidURL, ValueError):
        raise FetchError("This is no web address; write all of it, such as https://example.org/article.") from None
    if parsed.scheme not in ("http", "https"):
        raise FetchError("Only addresses that begin with http:// or https:// can be fetched.")
    if parsed.userinfo:
        raise FetchError("Addresses with a user name or a password are not fetched; send the document itself.")
    if parsed.port not in (None, *PORTS):
        ports = ", ".join(map(str, PORTS))
        raise FetchError(f"Nothing is fetched from port {parsed.port}, only from {ports}; send the document itself.")
    if not is_named:
        raise FetchError("The name of the site in this address is not a valid one; check how it is written.")
    return parsed


def _is_host(host: str) -> bool:
    if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host):
        return True
    try:
        # A zone names an interface of this machine, which is no business of whoever wrote the address.
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def _redirected(at: httpx.URL, location: str) -> httpx.URL:
    try:
        joined = str(at.join(location))
    except (httpx.InvalidURL, ValueError):
        raise FetchError(f"{at.host} redirects to something that is no web address; check the address.") from None
    to = _address(joined)
    if at.scheme == "https" and to.scheme == "http":
        raise FetchError(f"{at.host} redirects from https to http, which anyone on the way could change; not followed.")
    return to


def _header(response: httpcore.Response, name: bytes) -> str:
    value: bytes = next((value for key, value in response.headers if key.lower() == name), b"")
    return value.decode("utf-8", "replace").strip()


def _decoded(host: str, encoding: str, chunks: Iterable[bytes]) -> Iterable[bytes]:
    if encoding.lower() in ("", "identity"):
        return chunks
    if encoding.lower() in ("gzip", "x-gzip"):
        return _unzipped(host, chunks)
    raise FetchError(f"{host} sent the document compressed in a way that was not asked for; send the document itself.")


def _unzipped(host: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what gzip packed, never much at once: a thousand bytes of it may hold a million."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    damaged = FetchError(f"{host} sent the document compressed, and damaged; try again later.")
    try:
        for chunk in chunks:
            if unzip.eof:
                raise damaged
            rest = chunk
            while rest and not unzip.eof:
                yield unzip.decompress(rest, _PIECE)
                rest = unzip.unconsumed_tail
        # What zlib still holds of input that it has taken: a few bits' worth.
        yield unzip.flush()
    except zlib.error:
        raise damaged from None
    if not unzip.eof or unzip.unused_data:
        raise damaged


@contextmanager
def _in_our_words(host: str, deadline: "_Deadline") -> Iterator[None]:
    """Translate what httpcore raises."""
    try:
        yield
    except httpcore.TimeoutException:
        raise deadline.missed() from None
    except httpcore.ConnectError:
        raise FetchError(f"{host} cannot be reached; check the address, or try again later.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise FetchError(f"{host} broke off, or did not answer as web sites do; try again later.") from None


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, more than none; raises FetchError where there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.missed()
        return left

    def missed(self) -> FetchError:
        return FetchError(f"The document did not arrive within {self._seconds:g} seconds; send it itself.")


class _PublicNetwork(httpcore.NetworkBackend):
    """Connects to public addresses only, and to nothing after the deadline."""

    def __init__(self, network: httpcore.NetworkBackend, lookup: Lookup, deadline: _Deadline) -> None:
        self._network = network
        self._lookup = lookup
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._connect(self._public_addresses(host)[:_MOST_ADDRESSES], port)
        return _TimedStream(stream, self._deadline)

    def _connect(self, addresses: Sequence[IPAddress], port: int) -> httpcore.NetworkStream:
        """Return a connection to the first of `addresses` that takes one; each has its share of the time left."""
        address, *others = addresses
        try:
            return self._network.connect_tcp(str(address), port, timeout=self._deadline.left() / len(addresses))
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            if not others:
                raise
            return self._connect(others, port)

    def _public_addresses(self, host: str) -> Sequence[IPAddress]:
        addresses = self._addresses(host)
        # One message for what has no address and for what has a private one: names of a network are its secret too.
        if not addresses or not all(map(is_public, addresses)):
            raise FetchError(
                f"{host} is not on the public internet; check how it is written, or send the document itself."
            )
        return addresses

    def _addresses(self, host: str) -> Sequence[IPAddress]:
        """Look `host` up in a thread of its own: the system's lookup takes as long as it likes."""
        found: queue.SimpleQueue[Sequence[IPAddress]] = queue.SimpleQueue()
        threading.Thread(target=lambda: found.put(self._lookup(host)), daemon=True).start()
        try:
            return found.get(timeout=self._deadline.left())
        except queue.Empty:
            raise self._deadline.missed() from None


class _TimedStream(httpcore.NetworkStream):
    """A connection on which nothing waits beyond the deadline, however slowly the other side drips."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        except httpcore.ConnectError:
            raise FetchError(
                f"{server_hostname} did not prove who it is: its certificate is missing, or not valid for that name."
            ) from None
        except FetchError:
            # Too late to begin; httpcore closes only what it has got hold of.
            self.close()
            raise
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as in the class above
        return self._stream.get_extra_info(info)
