"""Server: what is asked of Milvus, each call with a time limit, and its errors as ours; all that knows pymilvus."""

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from index.address import Address
from index.derived import Neighbour
from index.encoding import Vectors
from index.errors import CorpusBusyError, CorpusError, IndexUnreachableError
from index.milvus_rows import LONGEST_TEXT, NAME, STATE, Row

if TYPE_CHECKING:
    from pymilvus import MilvusClient

# How long is waited for, in seconds: a connection, a question, a look at what is there, rows, a collection.
CONNECTING, ASKING, LOOKING, WRITING, MAKING = 2.0, 5.0, 5.0, 60.0, 600.0
# After a call that did not reach the server, others fail at once for so long, in seconds; one in that time tries.
PAUSE = 0.5
# The first version that searches by BM25.
BM25_SINCE = (2, 5)
# As FAISS here; more find more, and cost memory and time to build.
_HNSW = {"M": 32, "efConstruction": 200}
# As in Lucene, and in the embedded engine.
_BM25 = {"bm25_k1": 1.2, "bm25_b": 0.75}
# A connection that was lost is tried again soon: gRPC itself would wait for up to two minutes.
_CHANNEL = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 1000}
_UNLOADED = re.compile(r"not (?:been )?(?:fully )?loaded|released|load_collection|call load", re.IGNORECASE)
_MISSING = re.compile(r"not (?:found|exist)|can't find|doesn't exist", re.IGNORECASE)


class Server:
    """A connection to Milvus, made when it is first needed and again whenever it is lost. Safe for several threads."""

    def __init__(self, address: Address) -> None:
        """Make none of it yet. Raises CorpusError where the client is not installed."""
        if find_spec("pymilvus") is None:
            raise CorpusError(
                f"{address} needs the package pymilvus, which is not installed; run `pip install 'quoteline[cluster]'`"
            )
        self.address = address
        self._connecting = threading.Lock()
        self._client: MilvusClient | None = None
        self._bm25 = False
        self._trying_from = 0.0
        # Whether a call failed since somebody looked, and set this back.
        self.doubted = False

    @property
    def bm25(self) -> bool:
        """Whether this server is searched by BM25. Raises CorpusError where it should be and cannot."""
        with self._speaking("its version"):
            self._connected()
            return self._bm25

    def close(self) -> None:
        """End the connection; another one is made where it is needed."""
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            # What the other side did is of no interest any more.
            with suppress(Exception):
                client.close()

    # Collections

    def collections(self) -> list[str]:
        """Return the names of all collections that `make` made for this corpus, whether or not they are searched."""
        ours = re.compile(rf"{self.address.name}_[0-9a-f]{{12}}")
        with self._speaking("which collections there are") as client:
            return sorted(name for name in client.list_collections(timeout=LOOKING) if ours.fullmatch(name))

    def is_there(self) -> bool:
        """Whether anything has the corpus' name."""
        with self._speaking(f"whether there is {self.address.name}") as client:
            return bool(client.has_collection(self.address.name, timeout=LOOKING))

    def make(self, dim: int) -> str:
        """Make a collection for passages, ready to be searched, and return its name."""
        name = f"{self.address.name}_{uuid.uuid4().hex[:12]}"
        with self._speaking(f"to make {name}") as client:
            from pymilvus import DataType, Function, FunctionType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("key", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            analyzed = {"enable_analyzer": True, "analyzer_params": {"tokenizer": "standard"}} if self._bm25 else {}
            schema.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT, **analyzed)
            for field in ("article", "source", "collection"):
                schema.add_field(field, DataType.VARCHAR, max_length=NAME)
            for field in ("day", "added"):
                schema.add_field(field, DataType.INT64)
            indexes = client.prepare_index_params()
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=_HNSW)
            if self._bm25:
                schema.add_field("terms", DataType.SPARSE_FLOAT_VECTOR)
                schema.add_function(
                    Function("bm25", FunctionType.BM25, input_field_names=["text"], output_field_names=["terms"])
                )
                indexes.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=_BM25)
                for field in ("article", "source", "collection", "day", "added"):
                    indexes.add_index(field, index_type="INVERTED")
            client.create_collection(name, schema=schema, timeout=WRITING)
            # There is nothing to be indexed yet, so that nothing is to be waited for.
            client.create_index(name, indexes, timeout=WRITING, sync=False)
            client.load_collection(name, timeout=MAKING)
        return name

    def point_at(self, collection: str) -> None:
        """Have the corpus' name stand for this collection from now on."""
        with self._speaking(f"to let {self.address.name} be {collection}") as client:
            name = self.address.name
            change = client.alter_alias if client.has_collection(name, timeout=LOOKING) else client.create_alias
            change(collection, name, timeout=WRITING)

    def drop(self, collection: str) -> None:
        """Remove a collection with all that is in it."""
        with self._speaking(f"to drop {collection}") as client:
            client.drop_collection(collection, timeout=MAKING)

    def load(self, collection: str) -> None:
        """See to it that a collection can be searched: a server that was started again may have to be told."""
        with self._speaking(f"to load {collection}") as client:
            if "loaded" not in str(client.get_load_state(collection, timeout=LOOKING)["state"]).lower().split("."):
                client.load_collection(collection, timeout=MAKING)

    def compact(self) -> None:
        """Ask for the segments of what is searched to be rewritten without deleted rows; that goes on afterwards."""
        with self._speaking("to compact") as client:
            client.compact(self.address.name, timeout=WRITING)

    # Rows

    def put(self, collection: str, rows: Sequence[Row]) -> int:
        """Add rows, or replace those of the same keys; return the server's time of it, for `search` and `text_of`."""
        sent = [{**row, "vector": row["vector"].tolist()} for row in rows]
        with self._speaking("to take passages") as client:
            client.upsert(collection, sent, timeout=WRITING)
        return self._time_of(collection)

    def remove(self, collection: str, keys: Sequence[int]) -> int:
        """Remove rows; those that are not there are no fault. Returns what `put` does."""
        with self._speaking("to remove passages") as client:
            client.delete(collection, ids=list(keys), timeout=WRITING)
        return self._time_of(collection)

    def text_of_state(self, collection: str, *, newest: bool) -> str | None:
        """Return the text of the row that says what a collection holds; None where there is none.

        newest: what was written last by anybody, which may take a moment; otherwise what is at hand.
        """
        level = "Strong" if newest else "Eventually"
        with self._speaking("what it holds") as client:
            rows = client.query(
                collection,
                filter=f"key == {STATE}",
                output_fields=["text"],
                consistency_level=level,
                timeout=LOOKING,
            )
        return str(rows[0]["text"]) if rows else None

    def passages(self, collection: str) -> Iterator[tuple[list[int], Vectors]]:
        """Yield keys and vectors, shape (n, dim), of all rows but the state, in blocks."""
        with self._speaking("all passages") as client:
            found = client.query_iterator(
                collection,
                batch_size=500,
                filter=f"key > {STATE}",
                output_fields=["key", "vector"],
                consistency_level="Strong",
                timeout=WRITING,
            )
            try:
                while rows := found.next():
                    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
                    yield [int(row["key"]) for row in rows], vectors
            finally:
                found.close()

    def search(
        self, vector: Vectors, terms: str, k: int, *, expression: str, since: int
    ) -> tuple[list[Neighbour], list[Neighbour]]:
        """Return the k nearest by vector, and the k best by BM25 for `terms`, of the rows that meet `expression`.

        Both are asked at once. What was written by the server's time `since` is among what is searched.
        """
        # What says what the collection holds may be found, too.
        asked: dict[str, Any] = {
            "limit": k + 1,
            "filter": expression,
            "timeout": ASKING,
            "consistency_level": "Customized" if since else "Bounded",
            "guarantee_timestamp": since,
            "_async": True,
        }
        name = self.address.name
        with self._speaking("a question") as client:
            # Twice: the collection that the name stood for may have been dropped on the way.
            for last in (False, True):
                try:
                    params = {"metric_type": "IP", "params": {"ef": max(self.address.ef, k + 1)}}
                    dense = client.search(name, [vector], anns_field="vector", search_params=params, **asked)
                    lexical = None
                    if terms and self._bm25:
                        params = {"metric_type": "BM25", "params": {}}
                        lexical = client.search(name, [terms], anns_field="terms", search_params=params, **asked)
                    return _ranked(_nearest(dense), k), _ranked(_best(_nearest(lexical)) if lexical else [], k)
                except Exception as error:
                    if last or not _MISSING.search(str(error)):
                        raise
        raise AssertionError

    # How

    @contextmanager
    def _speaking(self, about: str) -> Iterator["MilvusClient"]:
        """Give the client, and turn its errors into ours."""
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            yield self._connected()
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError, ValueError) as error:
            # gRPC has no error of its own for a channel that another thread closed.
            if isinstance(error, ValueError) and not any(sign in str(error) for sign in _CLOSED):
                raise
            self.doubted = True
            raise self._ours(about, error) from error

    def _connected(self) -> "MilvusClient":
        with self._connecting:
            if self._client is None:
                # Who waited for another one's attempt knows how that ended.
                if time.monotonic() < self._trying_from:
                    raise self._unreachable("it could not be reached a moment ago")
                self._client = self._connect()
            return self._client

    def _connect(self) -> "MilvusClient":
        from pymilvus import MilvusClient

        # It logs each failure with a traceback before it raises it; what is to be said of it, we say.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        address = self.address
        host = f"[{address.host}]" if ":" in address.host else address.host
        client = MilvusClient(
            uri=f"{'https' if address.tls else 'http'}://{host}:{address.port}",
            token=f"{address.user}:{address.password}" if address.user else "",
            timeout=CONNECTING,
            dedicated=True,
            grpc_options=_CHANNEL,
        )
        try:
            version = client.get_server_version(timeout=LOOKING)
            self._bm25 = address.lexical
            if address.lexical and _release(version) < BM25_SINCE:
                raise CorpusError(
                    f"Milvus at {address} has version {version}, which has no BM25: that begins with "
                    f"{'.'.join(map(str, BM25_SINCE))}; use a newer one, or search by vectors only with lexical=no in "
                    "QUOTELINE_INDEX"
                )
        except BaseException:
            client.close()
            raise
        return client

    def _time_of(self, collection: str) -> int:
        """Return the server's time of the last change that this process made of a collection; 0 if it told none."""
        from pymilvus.client.ts_utils import get_collection_ts

        return int(get_collection_ts(collection, f"{self.address.host}:{self.address.port}") or 0)

    def _ours(self, about: str, error: Exception) -> CorpusError:
        text = str(error)
        if "UNAUTHENTICATED" in text or "PERMISSION_DENIED" in text or "auth check failure" in text:
            return CorpusError(f"Milvus at {self.address} refuses user {self.address.user!r}; check QUOTELINE_INDEX")
        if _UNLOADED.search(text) or _MISSING.search(text):
            return CorpusBusyError(
                f"Milvus at {self.address} does not hold the passages of this corpus any more, or not yet again; they "
                "are being brought there: try again"
            )
        if any(sign in text for sign in _CLOSED):
            self.close()
        if any(sign in text for sign in _LATE):
            # Others may be answered in time: the connection is left to them.
            return self._unreachable("it does not answer in time")
        if any(sign in text for sign in (*_LOST, *_CLOSED)):
            self._trying_from = time.monotonic() + PAUSE
            return self._unreachable("it does not answer")
        return CorpusBusyError(f"Milvus at {self.address} could not be asked {about}: {_short(text)}; try again")

    def _unreachable(self, why: str) -> IndexUnreachableError:
        return IndexUnreachableError(
            f"Milvus at {self.address} cannot be reached: {why}; see that it runs there. Nothing is lost, and "
            "Quoteline goes on by itself when it is back"
        )


# Signs, in what pymilvus says, that the server was not reached, did not answer in time, or is to be connected to anew.
_LOST = ("UNAVAILABLE", "CANCELLED", "Fail connecting", "Retry timeout", "failed to connect")
_LATE = ("DEADLINE_EXCEEDED", "Deadline Exceeded", "timed out")
_CLOSED = ("closed channel", "Channel closed")


def _nearest(future: Any) -> list[Neighbour]:  # noqa: ANN401 - pymilvus has no type for it
    [hits] = future.result()
    found = zip(hits.ids, hits.distances, strict=True)
    return [Neighbour(int(key), float(score)) for key, score in found if key != STATE]


def _best(found: Sequence[Neighbour]) -> list[Neighbour]:
    # milvus-lite gives BM25 as a distance, which is below zero.
    return [Neighbour(one.key, abs(one.score)) for one in found]


def _ranked(found: Sequence[Neighbour], k: int) -> list[Neighbour]:
    return sorted(found, key=lambda one: (-one.score, one.key))[:k]


def _release(version: str) -> tuple[int, int]:
    """Return major and minor of a server's version; milvus-lite has numbers of its own, and all that is asked for."""
    if version.startswith("milvus_lite"):
        return BM25_SINCE
    numbers = re.search(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _short(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:200]
