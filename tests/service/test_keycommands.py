from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from index.errors import InputError
from service.keycommands import keys
from service.keys import KeyStore

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("QUOTELINE_DATA", str(folder))
    return folder


@pytest.fixture
def store(data: Path) -> KeyStore:
    return KeyStore(data / "keys.json")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(keys, [str(argument) for argument in arguments])


def test_the_token_is_alone_on_standard_output(store: KeyStore) -> None:
    result = run("create", "a reader")
    assert result.exit_code == 0
    (key,) = store.list()
    assert store.find(result.stdout.removesuffix("\n")) == key
    assert result.stdout.count("\n") == 1
    assert "shown this once" in result.stderr
    assert key.id in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_a_key_may_ask_and_no_more_unless_it_is_said(store: KeyStore) -> None:
    run("create", "a reader")
    run("create", "a feeder", "--scope", "manage")
    run("create", "an editor", "--scope", "manage", "--scope", "ask")
    assert [key.scopes for key in store.list()] == [{"ask"}, {"manage"}, {"ask", "manage"}]


def test_a_key_is_for_all_collections_unless_some_are_said(store: KeyStore) -> None:
    assert "in all collections" in run("create", "a reader").stderr
    assert "in law, news" in run("create", "another", "--collection", "news", "--collection", "law").stderr
    assert [key.collections for key in store.list()] == [None, {"news", "law"}]


def test_what_is_no_scope_or_no_collection_is_an_error(store: KeyStore) -> None:
    assert run("create", "a reader", "--scope", "root").exit_code == 2
    assert isinstance(run("create", "a reader", "--collection", "No!").exception, InputError)
    assert not store.required()


def test_the_list_is_one_key_a_line_separated_by_tabs_and_tells_no_secret(store: KeyStore) -> None:
    tokens = [
        run("create", "a reader").stdout.strip(),
        run(
            "create", "an editor", "--scope", "manage", "--scope", "ask", "--collection", "news", "--collection", "law"
        ).stdout.strip(),
    ]
    reader, editor = store.list()
    listed = run("list").stdout
    assert listed.splitlines() == [
        f"{reader.id}\ta reader\task\t*\t{reader.created_at.isoformat()}",
        f"{editor.id}\tan editor\task,manage\tlaw,news\t{editor.created_at.isoformat()}",
    ]
    assert not any(token[12:] in listed for token in tokens)
    assert reader.sha256 not in listed


def test_keys_are_revoked_all_or_none(store: KeyStore) -> None:
    for name in ("one", "two", "three"):
        run("create", name)
    one, two, three = (key.id for key in store.list())
    result = run("revoke", one, "00000000")
    assert isinstance(result.exception, InputError)
    assert "no key has the id 00000000" in str(result.exception)
    assert len(store.list()) == 3
    assert run("revoke", one, two, one).stdout == "revoked 2 keys\n"
    assert [key.id for key in store.list()] == [three]


def test_who_revokes_the_last_key_is_told_what_that_means(store: KeyStore) -> None:
    run("create", "one")
    result = run("revoke", store.list()[0].id)
    assert result.stdout == "revoked 1 key\n"
    assert "lets nobody in" in result.stderr
    assert str(store.path) in result.stderr


def test_the_flag_of_the_data_folder_wins_over_the_environment(store: KeyStore, tmp_path: Path) -> None:
    run("create", "a reader", "--data", tmp_path / "elsewhere")
    assert not store.required()
    assert [key.name for key in KeyStore(tmp_path / "elsewhere" / "keys.json").list()] == ["a reader"]
