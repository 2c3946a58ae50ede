"""How alike two texts are, and signatures by which those alike are found without comparing all with all. Pure.

A text is the set of its shingles: all runs of three words, whatever case they are in. Two texts are near-duplicates
where at least half of the shingles that either has stand in both (Jaccard similarity; Broder, 1997). A MinHash
signature has 96 numbers, each of which two texts share as probably as they are similar; three of them make a band, and
texts that share a band are candidates: all but 1.4 % of those half alike, and of those a tenth alike 3 %.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

# Texts at least so similar are near-duplicates; chosen in docs/decisions/0010.
THRESHOLD = 0.5
_BANDS, _IN_BAND = 32, 3
_SLOTS = _BANDS * _IN_BAND
# What signatures and pairs depend on. Where a store's were made in another way, they are made again.
SCHEME = f"minhash {RMinHash.ALGORITHM_VERSION}, {_BANDS} x {_IN_BAND}, words 1, {THRESHOLD}"

# Scripts that put no space between words are read by characters: Thai, Lao, Burmese, Khmer, kana and Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
# Odd, and otherwise of no meaning.
_FACTORS = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)))
_MIXERS = tuple(map(np.uint64, (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)))

Shingles = NDArray[np.uint64]


def shingles(text: str) -> Shingles:
    """Return a 64-bit hash of each run of three words, ascending, each once; of all words where there are fewer.

    None where there is no word. Punctuation counts for nothing.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    if not words:
        return np.zeros(0, dtype=np.uint64)
    # Missing words of a shorter text are 0, as no word's checksum is likely to be.
    count = max(len(words), 3)
    hashes = np.zeros(count, dtype=np.uint64)
    hashes[: len(words)] = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    runs = sum(hashes[at : count - 2 + at] * factor for at, factor in enumerate(_FACTORS))
    return np.unique(_mixed(np.asarray(runs, dtype=np.uint64)))


def similarity(one: Shingles, other: Shingles) -> float:
    """Return the share of the shingles of either that stand in both, from 0 to 1; 0 where one has none."""
    if not one.size or not other.size:
        return 0.0
    shared = np.intersect1d(one, other, assume_unique=True).size
    return float(shared / (one.size + other.size - shared))


def signature(of: Shingles) -> bytes:
    """Return the MinHash signature of a text, 96 numbers of 16 bits; nothing where it has no shingle."""
    if not of.size:
        return b""
    [slots] = RMinHash.digest_matrix_from_flat_token_hashes(of, [0, of.size], _SLOTS, 1).to_rows()
    # The library's numbers have 32 bits, of which large ones say little: those of long texts are all small.
    mixed = np.array(slots, dtype=np.uint32) * np.uint32(0x9E3779B1)
    return (mixed >> np.uint32(16)).astype("<u2").tobytes()


def bands(of: bytes) -> list[int]:
    """Return the bands of a signature, 32 different numbers from 0 to 2 ** 53; none of an empty one."""
    slots = np.frombuffer(of, dtype="<u2").astype(np.int64).reshape(-1, _IN_BAND)
    numbers = np.arange(len(slots), dtype=np.int64)
    found: list[int] = (numbers << 48 | slots[:, 0] << 32 | slots[:, 1] << 16 | slots[:, 2]).tolist()
    return found


def estimates(one: bytes, others: Sequence[bytes]) -> NDArray[np.float64]:
    """Return about how similar the text of one signature is to those of others; off by .05 (one sigma) at .5."""
    slots = np.frombuffer(b"".join(others), dtype="<u2").reshape(len(others), _SLOTS)
    return np.asarray((slots == np.frombuffer(one, dtype="<u2")).mean(axis=1))


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return numbers in which each bit depends on all bits of the given ones (the finalizer of MurmurHash3)."""
    for mixer in _MIXERS:
        numbers = (numbers ^ (numbers >> np.uint64(33))) * mixer
    return numbers ^ (numbers >> np.uint64(33))
