"""Address: where a corpus is searched, and where its articles are, of one that several processes share.

milvus://[user:password@]host[:port][/name][?[lexical=no&][ef=200&]store=postgresql://...]
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from index.errors import CorpusError

PORT = 19530
NAME = "quoteline"
# How many neighbours HNSW looks at for each question: recall against speed (docs/cluster.md).
EF = 200
# Milvus takes letters, digits and underscores; what follows the name are a line and twelve digits.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_TLS = {"milvus": False, "milvus+tls": True}
_EXAMPLE = "milvus://host:19530/quoteline?store=postgresql://user:password@host/database"


@dataclass(frozen=True, slots=True)
class Address:
    """A server of Milvus, and the name of a corpus there.

    name: of the alias that is searched; with it begin the names of the corpus' collections. store: where the articles
    are, or None for the corpus' own folder. lexical: whether the server is to search by BM25, too; without, it searches
    by vectors only. ef: neighbours that HNSW looks at.
    As a string it holds no password.
    """

    host: str
    port: int = PORT
    name: str = NAME
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    store: str | None = field(default=None, repr=False)
    lexical: bool = True
    ef: int = EF

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address that `text` says. Raises CorpusError, whose message repeats no password.

        Letters of user and password that mean something in an address are written as %40 and the like. `store` stands
        last: all that follows it belongs to it, as it is.
        """
        text, _, store = text.partition("store=")
        try:
            parts = urlsplit(text.rstrip("?&"))
            port = parts.port or PORT
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        except ValueError as error:
            # The error repeats what it could not read, which may be a password.
            raise _unreadable("its port or its options cannot be read") from error.with_traceback(None)
        if parts.scheme not in _TLS:
            raise _unreadable("it does not begin with milvus:// or milvus+tls://")
        if not parts.hostname:
            raise _unreadable("it names no host")
        if not set(options) <= {"lexical", "ef"}:
            raise _unreadable("it has an option that is not known; there are lexical, ef and store")
        return cls(
            host=parts.hostname,
            port=port,
            name=_name(parts.path.strip("/") or NAME),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            tls=_TLS[parts.scheme],
            store=store or None,
            lexical=_yes_or_no(options.get("lexical", "yes")),
            ef=_ef(options.get("ef", str(EF))),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"milvus{'+tls' if self.tls else ''}://{host}:{self.port}/{self.name}"


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        # What seems to be a name may be the end of a password.
        raise _unreadable(
            "what follows the host is no name of a corpus, which has up to 100 letters, digits and underscores (in a "
            "password, write / as %2F and @ as %40)"
        )
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise _unreadable("lexical is yes or no")
    return text == "yes"


def _ef(text: str) -> int:
    if not text.isdecimal() or not 100 <= int(text) <= 32768:
        raise _unreadable("ef is a number from 100 to 32768")
    return int(text)


def _unreadable(why: str) -> CorpusError:
    return CorpusError(f"QUOTELINE_INDEX is no address of an index: {why}; write it like {_EXAMPLE}")
