import pickle
import socket
import sys
from contextlib import ExitStack

import pytest

from index.errors import InputError
from service.processes import Listener, serve_several

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems share a port in other ways")


@LINUX
def test_each_process_gets_a_share_of_the_connections() -> None:
    with ExitStack() as opened:
        first = opened.enter_context(Listener.at(socket.AF_INET, ("127.0.0.1", 0)))
        other = opened.enter_context(pickle.loads(pickle.dumps(first)))  # noqa: S301 (as another process gets it)
        assert other.getsockname() == first.getsockname()
        assert other.fileno() != first.fileno()
        for listener in (first, other):
            listener.listen(100)
            listener.settimeout(0.2)
        for _ in range(64):
            opened.enter_context(socket.create_connection(first.getsockname(), timeout=5))
        assert min(_accepted(first, opened), _accepted(other, opened)) >= 8


def _accepted(listener: Listener, opened: ExitStack) -> int:
    accepted = 0
    try:
        while True:
            opened.enter_context(listener.accept()[0])
            accepted += 1
    except TimeoutError:
        return accepted


@LINUX
def test_a_port_that_another_server_has_is_not_shared_with_it() -> None:
    with Listener.at(socket.AF_INET, ("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port} cannot be served .* --port"):
            serve_several("nothing:made", host="127.0.0.1", port=port, workers=2, log_config=None)
