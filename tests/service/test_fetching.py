import gzip
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import FetchError
from service import fetching
from service.fetching import BLOCKED, Fetched, Fetcher, IPAddress, is_public, look_up

PUBLIC = ip_address("93.184.216.34")
OTHER = ip_address("2606:2800:220:1:248:1893:25c8:1946")
Answer = Callable[[socket.socket], None]


class Wire(httpcore.SyncBackend):
    """The internet: each address and port is one of ours; all that is connected to is written down."""

    def __init__(self, servers: dict[tuple[str, int], int], trusted: Path | None = None) -> None:
        self.servers = servers
        self.connected: list[tuple[str, int]] = []
        self.timeouts: list[float | None] = []
        self.trusted = trusted

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        self.timeouts.append(timeout)
        if (host, port) not in self.servers:
            raise httpcore.ConnectError("secret text of another library")
        stream = super().connect_tcp("127.0.0.1", self.servers[host, port], timeout)
        return Trusting(stream, self.trusted) if self.trusted else stream


class Trusting(httpcore.NetworkStream):
    """A connection that trusts one more certificate."""

    def __init__(self, stream: httpcore.NetworkStream, trusted: Path) -> None:
        self.stream, self.trusted = stream, trusted
        self.close = stream.close  # type: ignore[method-assign]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        ssl_context.load_verify_locations(self.trusted)
        return self.stream.start_tls(ssl_context, server_hostname, timeout)


class Names:
    """Names and their addresses; a name with several answers gives them one after the other."""

    def __init__(self, *answers: Sequence[IPAddress]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[IPAddress]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """A server on a free port that hands every connection to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    taken, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(taken,), daemon=True).start()

        def handle(taken: socket.socket) -> None:
            # The fetcher hangs up on most of these servers, and should.
            with taken, suppress(OSError):
                answer(taken)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        # On Linux, closing alone would leave the thread in accept.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def said(taken: socket.socket) -> str:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        received = taken.recv(4096)
        if not received:
            break
        request += received
    return request.decode()


def saying(*parts: bytes) -> Answer:
    def answer(taken: socket.socket) -> None:
        said(taken)
        for part in parts:
            taken.sendall(part)

    return answer


def page(content: bytes = b"A page.", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def fetch(answer: Answer, url: str = "http://news.example/", *, timeout: float = 5, max_bytes: int = 1000) -> Fetched:
    """Fetch from a server at a public address that answers every connection with `answer`."""
    with serving(answer) as port:
        wire = Wire({(str(PUBLIC), public): port for public in fetching.PORTS})
        return Fetcher(timeout=timeout, max_bytes=max_bytes, lookup=Names([PUBLIC]), network=wire).fetch(url)


def refused(url: str, *, names: Names | None = None) -> str:
    """Return why `url` is not fetched, having seen that nothing was connected to."""
    wire = Wire({})
    with pytest.raises(FetchError) as error:
        Fetcher(lookup=names or look_up, network=wire).fetch(url)
    assert wire.connected == []
    return str(error.value)


# What goes well.


def test_a_page_is_returned_as_it_was_sent() -> None:
    sent = "Ein Käse.".encode("iso-8859-1")
    fetched = fetch(
        saying(page(sent, Content_Type="text/html; charset=ISO-8859-1")), "http://news.example:8080/a%20b?c=d#part"
    )
    assert fetched == Fetched("http://news.example:8080/a%20b?c=d", "text/html; charset=ISO-8859-1", sent)


def test_a_page_without_a_type_or_a_length_is_read_to_its_end() -> None:
    assert fetch(saying(b"HTTP/1.1 200 OK\r\n\r\nto the end")) == Fetched("http://news.example/", "", b"to the end")


def test_the_request_says_who_asks_and_nothing_about_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        # A proxy would look names up by itself, and connect to whatever it finds.
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    requests = []

    def answer(taken: socket.socket) -> None:
        requests.append(said(taken))
        taken.sendall(page(b"", "302 Found", Set_Cookie="a=b", Location="/next") if len(requests) == 1 else page())

    fetch(answer, "http://news.example:8080/first")
    first, second = requests
    assert first.startswith("GET /first HTTP/1.1\r\nHost: news.example:8080\r\nUser-Agent: Quoteline/")
    assert second.startswith("GET /next HTTP/1.1\r\n")
    headers = {line.partition(":")[0].lower() for line in second.split("\r\n")[1:] if line}
    assert headers == {"host", "user-agent", "accept", "accept-encoding"}


def test_an_ipv6_address_is_fetched_from_and_named_in_brackets() -> None:
    requests = []

    def answer(taken: socket.socket) -> None:
        requests.append(said(taken))
        taken.sendall(page())

    with serving(answer) as port:
        wire = Wire({(str(OTHER), 8080): port})
        fetched = Fetcher(network=wire).fetch(f"http://[{OTHER}]:8080/")
    assert fetched.content == b"A page."
    assert f"Host: [{OTHER}]:8080\r\n" in requests[0]


def test_an_address_that_takes_no_connection_is_passed_over_for_the_next() -> None:
    with serving(saying(page())) as port:
        wire = Wire({(str(PUBLIC), 80): port})
        fetcher = Fetcher(timeout=8, lookup=Names([OTHER, PUBLIC]), network=wire)
        assert fetcher.fetch("http://news.example/").content == b"A page."
    assert wire.connected == [(str(OTHER), 80), (str(PUBLIC), 80)]
    # The first may not use up the time of the second.
    assert wire.timeouts == [pytest.approx(4, abs=1), pytest.approx(8, abs=2)]


def test_what_was_compressed_is_decompressed() -> None:
    content = os.urandom(200_000)
    sent = page(gzip.compress(content), Content_Encoding="gzip")
    assert fetch(saying(sent[:50], sent[50:]), max_bytes=200_000).content == content


# Which addresses.


def addresses(*written: str) -> list[IPAddress]:
    return [ip_address(address) for address in written]


@pytest.mark.parametrize(
    "address",
    addresses(
        "93.184.216.34", "1.1.1.1", "100.63.255.255", "172.32.0.1", "11.0.0.0", "2606:4700::1111", "64:ff9b::5db8:d822"
    ),
    ids=str,
)
def test_what_is_on_the_public_internet_is_public(address: IPAddress) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    addresses(
        "0.0.0.0",  # noqa: S104 - not bound to
        "100.64.0.1",
        "100.100.100.200",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "192.0.0.8",
        "192.0.0.192",
        "192.88.99.1",
        "224.0.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",  # mapped
        "::ffff:93.184.216.34",
        "::127.0.0.1",  # compatible
        "::ffff:0:7f00:1",  # translated
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::5db8:d822",  # NAT64 of the network's own
        "100::1",
        "2001::5db8:d822",  # Teredo
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",  # 6to4
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ),
    ids=str,
)
def test_what_is_not_on_the_public_internet_is_not_public(address: IPAddress) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("network", BLOCKED, ids=str)
def test_a_blocked_network_is_blocked_from_end_to_end(network: fetching.IPNetwork) -> None:
    assert not is_public(network[0])
    assert not is_public(network[-1])


def notations(address: IPv4Address) -> Iterator[str]:
    """Yield every way to write `address` that the system's lookup takes, and the ways to hide it in IPv6."""
    number = int(address)
    a, b, c, d = address.packed
    for form in ("{}", "0x{:x}", "0x{:08X}", "0{:o}", "000{:o}"):
        yield form.format(number)
        yield f"{form.format(a)}.{form.format(number & 0xFFFFFF)}"
        yield f"{form.format(a)}.{form.format(b)}.{form.format(number & 0xFFFF)}"
        yield f"{form.format(a)}.{form.format(b)}.{form.format(c)}.{form.format(d)}"
    yield f"0x{a:x}.{b}.0{c:o}.{d}"
    yield str(address).translate({ord(str(digit)): ord("０") + digit for digit in range(10)})
    yield str(address).replace(".", "。")
    yield f"{address}."
    for prefix in ("::ffff:", "::", "64:ff9b::", "64:ff9b:1::"):
        yield f"[{prefix}{number >> 16:x}:{number & 0xFFFF:x}]"
        yield f"[{prefix}{address}]"
    yield f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]"


@given(st.data())
def test_a_blocked_address_is_refused_in_every_notation(data: st.DataObject) -> None:
    network = data.draw(st.sampled_from([network for network in BLOCKED if network.version == 4]))
    offset = data.draw(st.integers(0, network.num_addresses - 1))
    address = network[offset]
    assert isinstance(address, IPv4Address)
    written = data.draw(st.sampled_from(list(notations(address))))
    refused(f"http://{written}/")


def test_the_notations_are_those_that_the_system_takes() -> None:
    # Otherwise the test above could see them refused for another reason than the address.
    assert isinstance(PUBLIC, IPv4Address)
    plain = [written for written in notations(PUBLIC) if written.isascii() and written[0] != "[" and written[-1] != "."]
    assert len(plain) == 21
    for written in plain:
        assert set(look_up(written)) == {PUBLIC}, written


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ⓛocalhost",
        "127.1",
        "0",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "127.0.0.1%00",
        "127.0.0.1%2e",
        "127.0.0.1%20",
        "127.0.0.1\\@news.example",
        "[::1]",
        "[::1%25lo]",
        "[fe80::1%251]",
        "[fe80::1%eth0]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "[v1.a]",
        "[::1",
        "xn--",
        ".",
        ".news.example",
        "a" * 64 + ".example",
        "a." * 127 + "example",
        "new s.example",
        "news.example\n",
        "",
    ],
)
def test_an_odd_name_leads_nowhere(host: str) -> None:
    refused(f"http://{host}/")


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    names = Names([PUBLIC, IPv4Address("10.0.0.1")])
    assert "news.example is not on the public internet" in refused("http://news.example/", names=names)


def test_nobody_learns_which_names_a_private_network_knows() -> None:
    known = refused("http://printer/", names=Names([IPv4Address("10.0.0.1")]))
    assert refused("http://printer/", names=Names([])) == known


def test_a_name_that_changes_its_answer_is_looked_up_once() -> None:
    names = Names([PUBLIC], [IPv4Address("127.0.0.1")])
    with serving(saying(page())) as port:
        wire = Wire({(str(PUBLIC), 80): port, ("127.0.0.1", 80): port})
        Fetcher(lookup=names, network=wire).fetch("http://news.example/")
    assert names.asked == ["news.example"]
    assert wire.connected == [(str(PUBLIC), 80)]


def test_a_name_that_turns_private_on_the_way_of_a_redirect_is_refused() -> None:
    names = Names([PUBLIC], [IPv4Address("127.0.0.1")])
    with serving(saying(page(b"", "302 Found", Location="/again"))) as port:
        wire = Wire({(str(PUBLIC), 80): port, ("127.0.0.1", 80): port})
        with pytest.raises(FetchError, match="not on the public internet"):
            Fetcher(lookup=names, network=wire).fetch("http://news.example/")
    assert wire.connected == [(str(PUBLIC), 80)]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://news.example/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("gopher://news.example/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("//news.example/", "http://"),
        ("news.example", "http://"),
        ("", "http://"),
        ("http://reader@news.example/", "user name"),
        ("http://reader:secret@news.example/", "user name"),
        ("http://:@news.example/", "user name"),
        ("http://news.example:22/", "port 22"),
        ("http://news.example:0/", "port 0"),
        ("https://news.example:6379/", "port 6379"),
        ("http://news.example:65616/", "port 65616"),
        ("http://news.example:eighty/", "no web address"),
        ("http://news.example/\r\nHost:x", "no web address"),
        ("http://news.example/\ud800", "no web address"),
        ("http://" + "a" * 70_000, "no web address"),
        ("http:news.example", "name of the site"),
        ("http:///news.example", "name of the site"),
        ("http://[2606:4700::1111%25eth0]/", "name of the site"),
    ],
)
def test_what_is_no_plain_web_address_is_refused_before_its_name_is_looked_up(url: str, why: str) -> None:
    names = Names([PUBLIC])
    assert why in refused(url, names=names)
    assert names.asked == []


# Redirects.


def redirecting(location: str, status: str = "302 Found") -> Answer:
    return saying(page(b"", status, Location=location))


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.1/", "127.0.0.1 is not on the public internet"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not on the public internet"),
        ("//[::1]/", "::1 is not on the public internet"),
        ("http://0x7f.1/", "0x7f.1 is not on the public internet"),
        ("http://news.example:22/", "port 22"),
        ("http://me:secret@news.example/", "user name"),
        ("file:///etc/passwd", "http://"),
        ("http://[", "not a valid one"),
        ("http://news.example:x/", "redirects to something that is no web address"),
    ],
)
def test_where_a_redirect_leads_is_checked_as_the_address_was(location: str, why: str) -> None:
    with serving(redirecting(location)) as port:
        wire = Wire({(str(PUBLIC), 80): port, ("127.0.0.1", 80): port, ("::1", 80): port})
        with pytest.raises(FetchError) as error:
            Fetcher(lookup=lambda host: [PUBLIC] if host == "news.example" else look_up(host), network=wire).fetch(
                "http://news.example/"
            )
    assert why in str(error.value)
    assert wire.connected == [(str(PUBLIC), 80)]


def test_redirects_are_followed_five_times_and_no_more() -> None:
    steps = []

    def answer(taken: socket.socket) -> None:
        step = int(said(taken).split()[1].removeprefix("/"))
        steps.append(step)
        taken.sendall(page(b"there") if step == 5 else page(b"", "308 Permanent Redirect", Location=str(step + 1)))

    assert fetch(answer, "http://news.example/0") == Fetched("http://news.example/5", "", b"there")
    steps.clear()
    with pytest.raises(FetchError, match="more than 5 times"):
        fetch(answer, "http://news.example/6")
    assert steps == [6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("status", [204, 206, 300, 301, 304, 401, 404, 500])
def test_any_other_status_than_200_is_an_error_that_names_it(status: int) -> None:
    with pytest.raises(FetchError, match=f"news.example answered with status {status}"):
        fetch(saying(f"HTTP/1.1 {status} {http.client.responses[status]}\r\nContent-Length: 0\r\n\r\n".encode()))


# Limits.


def test_a_document_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(fetch(saying(page(b"x" * 1000))).content) == 1000
    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        fetch(saying(page(b"x" * 1001)))


def test_a_body_without_end_is_cut_off() -> None:
    def answer(taken: socket.socket) -> None:
        said(taken)
        taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            taken.sendall(b"x" * 65536)

    with pytest.raises(FetchError, match="larger than 1000000 bytes"):
        fetch(answer, max_bytes=1_000_000)


def test_a_gzip_bomb_is_cut_off_before_it_has_unfolded() -> None:
    bomb = page(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="larger than 1000000 bytes"):
            fetch(saying(bomb), max_bytes=1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("content", "encoding", "why"),
    [
        (zlib.compress(b"page"), "deflate", "not asked for"),
        (b"page", "br", "not asked for"),
        (gzip.compress(gzip.compress(b"page")), "gzip, gzip", "not asked for"),
        (gzip.compress(b"page" * 100)[:-9], "gzip", "damaged"),
        (gzip.compress(b"page") + b"more", "gzip", "damaged"),
        (b"page", "gzip", "damaged"),
        (b"", "gzip", "damaged"),
    ],
)
def test_what_cannot_be_decompressed_is_an_error(content: bytes, encoding: str, why: str) -> None:
    with pytest.raises(FetchError, match=why):
        fetch(saying(page(content, Content_Encoding=encoding)))


def dripping(*head: bytes, drop: bytes) -> Answer:
    def answer(taken: socket.socket) -> None:
        said(taken)
        for part in head:
            taken.sendall(part)
        while True:
            taken.sendall(drop)
            time.sleep(0.02)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        dripping(b"HTTP/1.1 200 OK\r\n\r\n", drop=b"x"),
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", drop=b"x"),
        dripping(drop=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drop=b"1\r\nx\r\n"),
        lambda taken: time.sleep(2),
    ],
    ids=["body", "headers", "informational", "chunks", "silence"],
)
def test_a_server_that_drips_is_dropped_at_the_deadline(answer: Answer) -> None:
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0.3 seconds"):
        fetch(answer, timeout=0.3)
    assert 0.25 < time.monotonic() - began < 1.5


def test_all_redirects_share_one_deadline() -> None:
    def answer(taken: socket.socket) -> None:
        said(taken)
        time.sleep(0.12)
        taken.sendall(page(b"", "302 Found", Location="/"))

    with pytest.raises(FetchError, match=r"within 0.3 seconds"):
        fetch(answer, timeout=0.3)


def test_a_lookup_that_takes_too_long_is_not_waited_for() -> None:
    woken = threading.Event()

    def slow(host: str) -> Sequence[IPAddress]:
        woken.wait(5)
        return [PUBLIC]

    began = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0.2 seconds"):
        Fetcher(timeout=0.2, lookup=slow, network=Wire({})).fetch("http://news.example/")
    assert time.monotonic() - began < 2
    woken.set()


# Errors.


@pytest.mark.parametrize(
    "sent",
    [b"", b"SSH-2.0-OpenSSH_9.6\r\n", page(b"cut")[:-1], b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, b"\0" * 1000],
    ids=["nothing", "ssh", "cut", "headers", "noise"],
)
def test_what_is_no_answer_is_an_error_in_our_words(sent: bytes) -> None:
    with pytest.raises(FetchError) as error:
        fetch(saying(sent))
    assert str(error.value) == "news.example broke off, or did not answer as web sites do; try again later."
    assert error.value.__suppress_context__


def test_a_site_that_takes_no_connection_is_an_error_in_our_words() -> None:
    with pytest.raises(FetchError) as error:
        Fetcher(lookup=Names([PUBLIC]), network=Wire({})).fetch("http://news.example/")
    assert str(error.value) == "news.example cannot be reached; check the address, or try again later."


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The certificate of news.example, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=news.example", "-addext", "subjectAltName=DNS:news.example"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


def fetch_over_tls(certificate: tuple[Path, Path], url: str, *, trusted: bool, answer: Answer | None = None) -> Fetched:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def secured(taken: socket.socket) -> None:
        with context.wrap_socket(taken, server_side=True) as secure:
            saying(page(b"kept secret"))(secure)

    with serving(answer or secured) as port:
        wire = Wire({(str(PUBLIC), 443): port}, trusted=certificate[0] if trusted else None)
        return Fetcher(timeout=1, lookup=Names([PUBLIC]), network=wire).fetch(url)


def test_a_certificate_that_is_trusted_and_names_the_site_is_accepted(certificate: tuple[Path, Path]) -> None:
    assert fetch_over_tls(certificate, "https://news.example/", trusted=True).content == b"kept secret"


@pytest.mark.parametrize(
    ("url", "trusted"),
    [("https://news.example/", False), ("https://other.example/", True), (f"https://{PUBLIC}/", True)],
    ids=["not trusted", "another name", "no name"],
)
def test_any_other_certificate_is_refused(certificate: tuple[Path, Path], url: str, trusted: bool) -> None:
    with pytest.raises(FetchError, match="did not prove who it is"):
        fetch_over_tls(certificate, url, trusted=trusted)


def test_a_handshake_without_end_is_dropped_at_the_deadline(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(FetchError, match="within 1 seconds"):
        fetch_over_tls(certificate, "https://news.example/", trusted=True, answer=lambda taken: time.sleep(3))


def test_a_redirect_from_https_to_http_is_not_followed(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def answer(taken: socket.socket) -> None:
        with context.wrap_socket(taken, server_side=True) as secure:
            redirecting("http://news.example/")(secure)

    with pytest.raises(FetchError, match="from https to http"):
        fetch_over_tls(certificate, "https://news.example/", trusted=True, answer=answer)
