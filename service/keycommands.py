"""The command line of keys: `quoteline keys create | list | revoke`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from service.keys import FILE, SCOPES, KeyStore, Scope
from service.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def _data(function: Command) -> Command:
    """Add the flag of the data folder, as the other commands have it."""
    data = Settings.model_fields["data"]
    about = f"{data.description}. [QUOTELINE_DATA; default: {data.default}]"
    flag = click.option(
        "--data",
        default=data.default,
        envvar="QUOTELINE_DATA",
        type=click.Path(path_type=Path),
        metavar="DATA",
        help=about,
    )
    return flag(function)


@click.group()
def keys() -> None:
    """Make and revoke the keys that the HTTP service asks for; a running one takes notice at once.

    As soon as there is one, nobody gets in without. That stays so when the last key is revoked.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=["ask"],
    show_default=True,
    type=click.Choice(sorted(SCOPES)),
    help="What it is for: `ask` to ask and read, `manage` to change. May be repeated; neither brings the other.",
)
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="COLLECTION",
    help="The collection that it is limited to. May be repeated; if left out, it is for all.",
)
@_data
def create(name: str, scopes: tuple[Scope, ...], collections: tuple[str, ...], data: Path) -> None:
    """Make a key called NAME, and print its token, which nothing can show again."""
    key, token = KeyStore(data / FILE).create(name, scopes, collections or None)
    where = ", ".join(sorted(key.collections or ())) or "all collections"
    click.echo(token)
    click.echo(
        f"key {key.id} may {_scopes(key.scopes, ' and ')}, in {where}. "
        "Keep the token: it is shown this once.\n"
        "Send it as `Authorization: Bearer TOKEN`. The service asks every caller for a key from now on, here too.",
        err=True,
    )


@keys.command("list")
@_data
def list_(data: Path) -> None:
    """List the keys: id, name, scopes, collections (* for all), when made; one a line, separated by tabs."""
    for key in KeyStore(data / FILE).list():
        collections = "*" if key.collections is None else ",".join(sorted(key.collections))
        click.echo(f"{key.id}\t{key.name}\t{_scopes(key.scopes, ',')}\t{collections}\t{key.created_at.isoformat()}")


@keys.command()
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@_data
def revoke(key_ids: tuple[str, ...], data: Path) -> None:
    """Revoke keys by id; all of them, or none where one is not there."""
    store = KeyStore(data / FILE)
    store.revoke(*key_ids)
    count = len(set(key_ids))
    click.echo(f"revoked {count} {'key' if count == 1 else 'keys'}")
    if not store.list():
        click.echo(
            f"No key is left, so the service lets nobody in. Make one with `quoteline keys create NAME`; or, to go "
            f"without keys, delete {store.path} and start the service again.",
            err=True,
        )


def _scopes(scopes: frozenset[Scope], between: str) -> str:
    return between.join(sorted(scopes))
