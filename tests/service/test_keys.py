import hashlib
import hmac
import json
import os
import re
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import AccessError, InputError
from service.keys import Key, KeyStore, Scope

# Makes keys once it is told to, so that two of it do at the same time.
MAKER = """
import sys
import traceback
from pathlib import Path
from service.keys import KeyStore
keys = KeyStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    keys.create(f"{sys.argv[2]} {number}", ["ask"])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.json"


@pytest.fixture
def keys(path: Path) -> KeyStore:
    return KeyStore(path)


def test_where_there_was_never_a_file_no_key_is_required(keys: KeyStore) -> None:
    assert not keys.required()
    assert keys.list() == ()
    assert keys.find(f"ql_{'0' * 8}_{'a' * 43}") is None


def test_a_token_finds_its_key_and_no_other_does(keys: KeyStore) -> None:
    reader, reading = keys.create("a reader", ["ask"], ["news", "law"])
    editor, editing = keys.create("an editor", ["ask", "manage"])
    assert keys.required()
    assert keys.list() == (reader, editor)
    assert keys.find(reading) == reader
    assert keys.find(editing) == editor
    assert reader.collections == frozenset({"news", "law"})
    assert editor.collections is None
    assert keys.find(reading.replace(reader.id, editor.id)) is None
    assert keys.find(f"{reading[:-1]}{'A' if reading[-1] != 'A' else 'B'}") is None
    assert keys.find(f"{reading} ") is None


def test_a_token_tells_the_id_and_32_random_bytes(keys: KeyStore) -> None:
    key, token = keys.create("a reader", ["ask"])
    assert re.fullmatch(rf"ql_{key.id}_[A-Za-z0-9_-]{{43}}", token)
    assert len(key.id) == 8


def test_what_is_kept_is_a_digest_and_no_secret(keys: KeyStore, path: Path) -> None:
    key, token = keys.create("a reader", ["ask"])
    secret = token.removeprefix(f"ql_{key.id}_")
    assert secret not in path.read_text(encoding="utf-8")
    assert hashlib.sha256(secret.encode()).hexdigest() in path.read_text(encoding="utf-8")
    assert secret not in repr(key)
    assert key.sha256 not in repr(key)


def test_only_the_owner_may_read_the_file(keys: KeyStore, path: Path) -> None:
    keys.create("a reader", ["ask"])
    keys.create("another", ["ask"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unknown_id_costs_the_comparison_that_a_known_one_does(
    keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = keys.create("a reader", ["ask"])
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    assert keys.find(token) is not None
    assert keys.find(f"ql_{'f' * 8}_{'a' * 43}") is None
    assert keys.find("no token at all") is None
    assert compared == [(64, 64)] * 3


@given(token=st.text() | st.from_regex(r"ql_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", fullmatch=True) | st.just("\ud800"))
def test_no_made_up_token_finds_a_key(token: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = KeyStore(tmp_path_factory.getbasetemp() / "made-up.json")
    if not keys.required():
        keys.create("a reader", ["ask"])
    assert keys.find(token) is None


@pytest.mark.parametrize(
    ("name", "scopes", "collections", "said"),
    [
        (" ", ["ask"], None, "name"),
        ("a\tb", ["ask"], None, "name"),
        ("a" * 101, ["ask"], None, "name"),
        ("a reader", [], None, "scope"),
        ("a reader", ["root"], None, "scope"),
        ("a reader", ["ask"], [], "names one at least"),
        ("a reader", ["ask"], ["News!"], "'News!' is no collection"),
        ("a reader", ["ask"], ["news", ""], "'' is no collection"),
    ],
)
def test_what_can_be_no_key_is_refused_and_nothing_is_written(
    keys: KeyStore, path: Path, name: str, scopes: list[Scope], collections: list[str] | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        keys.create(name, scopes, collections)
    assert not path.exists()
    assert not keys.required()


def test_a_revoked_key_is_found_no_more(keys: KeyStore) -> None:
    key, token = keys.create("a reader", ["ask"])
    other, other_token = keys.create("another", ["ask"])
    keys.revoke(key.id)
    assert keys.find(token) is None
    assert keys.find(other_token) == other


def test_of_several_all_are_revoked_or_none(keys: KeyStore) -> None:
    key, _ = keys.create("a reader", ["ask"])
    with pytest.raises(InputError, match="no key has the id 00000000"):
        keys.revoke(key.id, "00000000")
    assert keys.list() == (key,)


def test_without_its_last_key_a_service_asks_for_keys_still(keys: KeyStore, path: Path) -> None:
    key, _ = keys.create("a reader", ["ask"])
    keys.revoke(key.id)
    assert keys.list() == ()
    assert keys.required()
    assert KeyStore(path).required()


def test_what_another_process_changes_is_seen_at_the_next_look(keys: KeyStore, path: Path) -> None:
    another = KeyStore(path)
    assert not keys.required()
    tokens = [another.create(f"reader {number}", ["ask"])[1] for number in range(20)]
    assert all(keys.find(token) for token in tokens)
    for key, token in zip(another.list(), tokens, strict=True):
        another.revoke(key.id)
        assert keys.find(token) is None


def test_a_file_edited_in_place_is_read_again(keys: KeyStore, path: Path) -> None:
    keys.create("a reader", ["ask"])
    assert [key.name for key in keys.list()] == ["a reader"]
    before = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace("a reader", "a writer"), encoding="utf-8")
    # As tools that restore files do; the size is the same too.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [key.name for key in keys.list()] == ["a writer"]


def test_keys_made_by_two_processes_at_once_are_all_kept(keys: KeyStore, path: Path) -> None:
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("left", "right")
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate(timeout=30)
        assert maker.returncode == 0
    made = {f"{name} {number}" for name in ("left", "right") for number in range(25)}
    assert {key.name for key in keys.list()} == made


KEY = {
    "id": "01234567",
    "name": "a reader",
    "scopes": ["ask"],
    "collections": None,
    "created_at": "2026-01-02T03:04:05Z",
    "sha256": "0" * 64,
}


def content(*keys: object, version: int = 1) -> str:
    return json.dumps({"version": version, "keys": keys})


def test_the_file_that_is_damaged_below_would_be_read(keys: KeyStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(content(KEY), encoding="utf-8")
    assert [key.id for key in keys.list()] == ["01234567"]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"keys": []}',
        '{"version": 1}',
        content(version=2),
        '{"version": 1, "keys": [], "until": "tomorrow"}',
        content(KEY, KEY),
        content({**KEY, "expires": "tomorrow"}),
        content({**KEY, "scopes": ["root"]}),
        content({**KEY, "scopes": []}),
        content({**KEY, "collections": []}),
        content({**KEY, "collections": ["No!"]}),
        content({**KEY, "sha256": ""}),
        content({**KEY, "id": "é" * 8}),
        content({name: value for name, value in KEY.items() if name != "collections"}),
    ],
)
def test_a_damaged_file_is_never_no_keys(keys: KeyStore, path: Path, damaged: str) -> None:
    path.parent.mkdir()
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(AccessError, match=r"keys\.json is damaged.* bring back a copy"):
        keys.required()
    with pytest.raises(AccessError):
        keys.find(f"ql_{'0' * 8}_{'a' * 43}")
    with pytest.raises(AccessError):
        keys.create("a reader", ["ask"])
    assert path.read_text(encoding="utf-8") == damaged
    # Once it was there, its end is no invitation either.
    path.unlink()
    with pytest.raises(AccessError, match="is gone"):
        keys.required()


def test_no_error_tells_what_is_in_a_damaged_file(keys: KeyStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(content({**KEY, "sha256": ["0123456789abcdef"]}), encoding="utf-8")
    with pytest.raises(AccessError, match=r"keys\.0\.sha256") as raised:
        keys.list()
    assert "0123456789abcdef" not in "".join(traceback.format_exception(raised.value))


def test_a_file_that_vanishes_takes_no_key_off_the_door(keys: KeyStore, path: Path) -> None:
    key, token = keys.create("a reader", ["ask"])
    saved = path.read_bytes()
    path.unlink()
    with pytest.raises(AccessError, match=r"keys\.json is gone.*bring it back"):
        keys.required()
    with pytest.raises(AccessError):
        keys.find(token)
    assert not KeyStore(path).required(), "a new start goes without keys"
    path.write_bytes(saved)
    assert keys.find(token) == key


def test_a_file_that_cannot_be_read_is_never_no_keys(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(AccessError, match=r"keys\.json cannot be read"):
        KeyStore(tmp_path / "keys.json").required()
    (tmp_path / "file").touch()
    with pytest.raises(AccessError, match="cannot be read"):
        KeyStore(tmp_path / "file" / "keys.json").required()


def test_a_change_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(
    keys: KeyStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create("a reader", ["ask"])
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessError, match=r"keys\.json cannot be changed \(No space left on device\)"):
        keys.create("another", ["ask"])
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == beside


def test_a_key_comes_back_from_the_file_as_it_went_in(keys: KeyStore, path: Path) -> None:
    made = [keys.create("one", ["ask"])[0], keys.create("zwei ✓", ["manage", "ask"], ["b", "a"])[0]]
    read = KeyStore(path).list()
    assert list(read) == made
    assert all(isinstance(key, Key) and isinstance(key.scopes, frozenset) for key in read)
