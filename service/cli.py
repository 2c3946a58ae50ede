"""The command line: `quoteline serve | add | ask | mcp | articles | remove | keys | check | calibrate | …`."""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from index.articles import COLLECTION, COLLECTION_RULE, Article
from index.corpus import Corpus, Outcome, set_aside
from index.encoding import load_encoder
from index.errors import CorpusDamagedError, CorpusError, FormatError, InputError, QuotelineError
from index.formats import MEDIA_TYPES
from index.isolation import Isolated
from index.store import Filters, Restored, read_backup
from service.answering import DEFAULT_TOP_K, MOST_TOP_K
from service.keycommands import keys
from service.plaintext import render_answer
from service.readers import open_answerer, open_entailment, open_reader
from service.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

# Of so many articles that have near-duplicates `quoteline add` says which.
_MOST_ALIKE = 20


def main() -> None:
    """Run the command line; an error of ours becomes one line and exit code 1."""
    try:
        commands()
    except QuotelineError as error:
        click.echo(f"quoteline: {error}", err=True)
        sys.exit(1)


def _flags(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the flags of these settings."""

    def decorate(function: Command) -> Command:
        for name in reversed(names):
            field = Settings.model_fields[name]
            flag = f"--{name.replace('_', '-')}"
            about = f"{field.description}. [QUOTELINE_{name.upper()}; default: {field.default}]"
            function = click.option(flag, name, default=None, metavar=name.upper(), help=about)(function)
        return function

    return decorate


def _settings(**given: object) -> Settings:
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        said = "; ".join(f"QUOTELINE_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise InputError(f"{said}; see `quoteline serve --help`") from error


@contextmanager
def _corpus(
    settings: Settings, *, adding: bool = False, rebuild: bool = False, encode_again: bool = False
) -> Iterator[Corpus]:
    device = settings.device if adding or encode_again else "cpu"
    encoder = load_encoder(settings.model, settings.models_folder, device=device)
    corpus = Corpus(settings.corpus_folder, encoder, rebuild=rebuild, encode_again=encode_again)
    try:
        yield corpus
    finally:
        corpus.close()


_COMMON = ("data", "model", "models")
_READING = ("reader", "read")
_ENTAILING = ("entailment", "entailed")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quoteline")
def commands() -> None:
    """Ask your articles a question; get the sentences that answer it, word for word."""


commands.add_command(keys)


@commands.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@_flags(*Settings.model_fields)
def serve(paths: tuple[Path, ...], **given: object) -> None:
    """Serve the corpus over HTTP; add the articles in PATHS first."""
    settings = _settings(**given)
    if paths:
        _add_to(settings, paths)
    # Imported here: the other commands need no web server.
    from service.access import check_binding, parse_rate
    from service.app import serve as serve_http
    from service.keys import KeyStore

    parse_rate(settings.rate)
    check_binding(settings, KeyStore(settings.keys_file))
    address = f"http://{settings.host}:{settings.port}"
    click.echo(f"Quoteline serves {settings.data} at {address}\n  curl '{address}/ask?q=Your+question'", err=True)
    serve_http(settings)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--collection", help="The collection they go into; else where they are already, or `default`.")
@_flags(*_COMMON, "device")
def add(paths: tuple[Path, ...], collection: str | None, **given: object) -> None:
    """Add articles from files and folders: text, Markdown, HTML, PDF, JSON Lines."""
    if collection is not None and not COLLECTION.fullmatch(collection):
        raise InputError(f"{collection!r} is no collection: {COLLECTION_RULE}")
    sys.exit(1 if _add_to(_settings(**given), paths, collection) else 0)


@commands.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--top-k", default=DEFAULT_TOP_K, type=click.IntRange(1, MOST_TOP_K), help="The most citations to show.")
@click.option("--collection", "collections", multiple=True, help="Ask this collection only; may be repeated.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Ask the articles as they stood at the end of this day (UTC), such as 2022-10-30.",
)
@click.option("--compare/--no-compare", default=True, help="Whether to say where what is cited agrees, and where not.")
@_flags(*_COMMON, *_READING, *_ENTAILING, "calibration", "answered", "perhaps")
def ask(
    question: tuple[str, ...],
    top_k: int,
    collections: tuple[str, ...],
    as_of: dt.datetime | None,
    compare: bool,
    **given: object,
) -> None:
    """Ask QUESTION; exit code 3 where nothing answers."""
    settings = _settings(**given)
    with _corpus(settings) as corpus:
        answerer = open_answerer(corpus, settings, open_reader(settings), open_entailment(settings))
        filters = Filters(collections=collections, as_of=as_of.date() if as_of else None)
        answer = answerer.ask(" ".join(question), top_k=top_k, filters=filters, compare=compare)
    # click takes the colour out of what goes to no terminal.
    click.echo(render_answer(answer, color=not os.environ.get("NO_COLOR")), nl=False)
    # Not 1, an error of ours, nor 2, an error of use.
    sys.exit(3 if answer.verdict == "unanswered" else 0)


@commands.command("mcp")
@click.option(
    "--collection", "collections", multiple=True, help="Give access to this collection only; may be repeated."
)
@_flags(*_COMMON, *_READING, *_ENTAILING, "calibration", "answered", "perhaps", "public_url")
def serve_tools(collections: tuple[str, ...], **given: object) -> None:
    """Give a language model's host (MCP) tools to ask with, over standard input and output.

    Works beside servers of the same corpus, changes nothing, and follows what they change.
    """
    settings = _settings(**given)
    # Imported here: the package takes half a second, which the other commands need not wait for.
    from service.toolserver import serve_stdio

    serve_stdio(settings, collections)


@commands.command()
@click.option("--collection", "collections", multiple=True, help="List this collection only; may be repeated.")
@_flags(*_COMMON)
def articles(collections: tuple[str, ...], **given: object) -> None:
    """List the articles: id, date, sentences, title, version, collection; one a line, separated by tabs."""
    with _corpus(_settings(**given)) as corpus:
        after = ""
        while page := corpus.store.summaries(after=after, filters=Filters(collections=collections)):
            for one in page:
                facts = (one.id, one.date or "-", one.sentences, one.title or "-", one.version, one.collection)
                click.echo("\t".join(map(str, facts)))
            after = page[-1].id


@commands.command()
@click.argument("article_ids", metavar="ID...", nargs=-1, required=True)
@_flags(*_COMMON)
def remove(article_ids: tuple[str, ...], **given: object) -> None:
    """Remove articles by id, with all their versions; all of them, or none where one is not there."""
    with _corpus(_settings(**given)) as corpus:
        corpus.remove(article_ids)
        _erase_traces(corpus)
    click.echo(f"removed {_count(len(set(article_ids)), 'article')}")


@commands.command()
@_flags(*_COMMON)
def compact(**given: object) -> None:
    """Erase what removed articles left in the files; a server does so by itself, a while after a removal."""
    with _corpus(_settings(**given)) as corpus:
        _erase_traces(corpus)
    click.echo("nothing is left of removed articles")


@commands.command()
@click.option("--encode", is_flag=True, help="Encode all articles again, with the encoder that is set now.")
@_flags(*_COMMON, "device")
def rebuild(encode: bool, **given: object) -> None:
    """Build the lexical index and the vector index again from the stored articles."""
    with _corpus(_settings(**given), rebuild=True, encode_again=encode) as corpus:
        found, _, passages = corpus.store.counts()
    click.echo(f"rebuilt the indexes of {_count(found, 'article')}, {_count(passages, 'passage')}")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_flags(*_COMMON)
def backup(folder: Path, **given: object) -> None:
    """Copy all articles and vectors, as they are now, to the new folder FOLDER; servers and writers go on."""
    with _corpus(_settings(**given)) as corpus:
        made = corpus.back_up(folder)
    click.echo(f"{_count(made.articles, 'article')}, generation {made.generation}: {folder}")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--with-deleted", is_flag=True, help="Also what was removed after the backup was made.")
@_flags(*_COMMON)
def restore(folder: Path, with_deleted: bool, **given: object) -> None:
    """Bring the corpus back to the backup in FOLDER, and nothing else; all or nothing. Servers go on, and follow."""
    settings = _settings(**given)
    try:
        restored = _restore(settings, folder, with_deleted)
    except CorpusDamagedError:
        # A damaged backup is told before anything is moved.
        read_backup(folder)
        kept = set_aside(settings.corpus_folder)
        click.echo(f"the damaged database is kept as {kept}; servers that were using it have to be restarted", err=True)
        restored = _restore(settings, folder, with_deleted)
    click.echo(f"restored {_count(restored.articles, 'article')}, {_count(restored.versions, 'version')}")
    if restored.left_out:
        click.echo(
            f"left out {_count(restored.left_out, 'article')}: removed since; --with-deleted brings them back", err=True
        )


@commands.command()
@_flags(*_COMMON)
def check(**given: object) -> None:
    """Check that every text, span, vector and index is consistent; exit code 1 where one is not."""
    with _corpus(_settings(**given)) as corpus:
        findings = [*corpus.repairs, *corpus.check()]
        found, sentences, passages = corpus.store.counts() if not findings else (0, 0, 0)
    for finding in findings:
        click.echo(finding)
    if findings:
        sys.exit(1)
    click.echo(
        f"all is consistent: {_count(found, 'article')}, {_count(sentences, 'sentence')}, {_count(passages, 'passage')}"
    )


@commands.command()
@_flags(*_COMMON, *_READING, "entailment")
def prepare(**given: object) -> None:
    """Prepare the models to run without torch; other commands do it by themselves where torch is there."""
    settings = _settings(**given)
    encoder = load_encoder(settings.model, settings.models_folder)
    for one in (encoder, open_reader(settings), open_entailment(settings)):
        if one is not None:
            click.echo(f"{one.name} is ready in {settings.models_folder}")


@commands.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, if not the one that is used from then on.",
)
@_flags(*_COMMON, *_READING)
def calibrate(folder: Path, output: Path | None, **given: object) -> None:
    """Fit probabilities to the questions in FOLDER, in BEIR's layout, with encoder and reader as they are set.

    Servers that run already have to be restarted.
    """
    settings = _settings(**given)
    try:
        from bench.calibration import calibrate as fit
    except ImportError as error:
        raise _no_checkout("calibrate") from error
    fit(folder, settings).save(output or settings.calibration_file)
    next_step = f"set QUOTELINE_CALIBRATION={output}" if output else "it is used from the next start on"
    click.echo(f"saved as {output or settings.calibration_file}; {next_step}", err=True)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure quality and speed on a data set in BEIR's layout: `quoteline bench DIR`."""
    try:
        from bench.run import main as measure
    except ImportError as error:
        raise _no_checkout("bench") from error
    sys.exit(measure(list(arguments)))


def _no_checkout(command: str) -> InputError:
    return InputError(
        f"`quoteline {command}` needs the repository's bench/ folder and its full set of packages; run it in a checkout"
    )


def _restore(settings: Settings, folder: Path, with_deleted: bool) -> Restored:
    with _corpus(settings) as corpus:
        return corpus.restore(folder, with_deleted=with_deleted)


def _erase_traces(corpus: Corpus) -> None:
    if not corpus.compact():
        raise CorpusError(
            "somebody is still reading the older state, so that its log could not be cut off; run `quoteline compact` "
            "in a while"
        )


def _add_to(settings: Settings, paths: tuple[Path, ...], collection: str | None = None) -> int:
    """Open the corpus, add the articles in `paths`, and close it again, so that a server keeps nothing of it."""
    with _corpus(settings, adding=True) as corpus:
        return _add(corpus, paths, collection)


def _add(corpus: Corpus, paths: tuple[Path, ...], collection: str | None) -> int:
    """Add the articles in `paths`, say what became of them, and return how many failed."""
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InputError(f"no file in {', '.join(map(str, paths))} ends with one of {', '.join(MEDIA_TYPES)}")
    failures: list[str] = []
    alike: list[Outcome] = []
    counts = {"added": 0, "replaced": 0, "unchanged": 0, "refused": 0, "elsewhere": 0}
    size = sum(file.stat().st_size for file in files)
    with click.progressbar(length=size, label="adding", file=sys.stderr) as bar:
        for outcome in corpus.add(_articles(files, collection, failures, bar)):
            counts[outcome.kind] += 1
            if outcome.kind in ("refused", "elsewhere"):
                failures.append(outcome.reason)
            if outcome.near_duplicates:
                alike.append(outcome)
    for outcome in alike[:_MOST_ALIKE]:
        click.echo(f"{outcome.kind} {outcome.article_id} ({_near_duplicates(outcome)})", err=True)
    if len(alike) > _MOST_ALIKE:
        more = _count(len(alike) - _MOST_ALIKE, "more article")
        click.echo(f"… and {more} with near-duplicates; GET /articles/ID says of which", err=True)
    for failure in failures:
        click.echo(f"failed: {failure}", err=True)
    summary = f"added {counts['added']}, replaced {counts['replaced']}, already there {counts['unchanged']}"
    click.echo(f"{summary}, failed {len(failures)}", err=True)
    return len(failures)


def _near_duplicates(outcome: Outcome) -> str:
    """Say which article is most like one that was added, and how many more there are."""
    (nearest, share), *others = outcome.near_duplicates
    said = f"near-duplicate of {nearest}, {share:.0%}".replace("%", " %")
    return f"{said}, and of {_count(len(others), 'other')}" if others else said


def _files(path: Path) -> Iterator[Path]:
    """Yield a file itself, or a folder's files, by name, that can hold articles: not hidden ones, nor its README."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        about = file.stem.upper() == "README"
        if file.is_file() and not hidden and not about and file.suffix.lower() in MEDIA_TYPES:
            yield file


def _articles(
    files: list[Path],
    collection: str | None,
    failures: list[str],
    bar: Any,  # noqa: ANN401 - click's bar
) -> Iterator[Article]:
    with Isolated() as reader:
        for file in files:
            try:
                with file.open("rb") as content:
                    for found in reader.read_articles(content, name=str(file), path=str(file.resolve())):
                        if isinstance(found, FormatError):
                            failures.append(str(found))
                        else:
                            yield replace(found, collection=found.collection or collection)
                bar.update(file.stat().st_size)
            except OSError as error:
                failures.append(f"{file}: cannot be read ({error.strerror})")


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
