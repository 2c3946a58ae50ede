"""Several processes that serve one port, each with a socket of its own.

On one socket for all of them, whoever wakes first accepts all connections that have come, and the others have nothing
to do. Of several sockets at one address, Linux gives each a share (SO_REUSEPORT).
"""

import socket
import sys
from typing import Any

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from index.errors import InputError


class Listener(socket.socket):
    """A bound socket that arrives in another process as another one, at the same address."""

    @classmethod
    def at(cls, family: int, address: tuple[Any, ...]) -> "Listener":
        """Return one that is bound to `address` beside others of this user. Raises OSError."""
        listener = cls(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.set_inheritable(True)
        return listener

    def __reduce__(self) -> tuple[Any, ...]:
        return Listener.at, (self.family, self.getsockname())


def serve_several(app: str, *, host: str, port: int, **options: Any) -> None:  # noqa: ANN401 (uvicorn's)
    """Serve what `app` makes, as a name that can be imported, until a signal says stop.

    options: uvicorn's others. Raises InputError where the port cannot be had.
    """
    config = Config(app, factory=True, host=host, port=port, **options)
    bound = _listener(host, port) if sys.platform.startswith("linux") else config.bind_socket()
    Multiprocess(config, sockets=[bound]).run()


def _listener(host: str, port: int) -> Listener:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # One that may be beside others could be had beside another server, too.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            address = alone.getsockname()
        return Listener.at(family, address)
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be served ({error.strerror}); choose another one with --port or --host"
        ) from error
