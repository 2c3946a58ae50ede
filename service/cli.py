"""The command line: `quoteline serve | add | ask | mcp | articles | remove | keys | check | calibrate | …`."""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from index.address import Address
from index.articles import COLLECTION, COLLECTION_RULE
from index.corpus import Corpus, set_aside
from index.encoding import load_encoder
from index.errors import CorpusDamagedError, CorpusError, InputError, QuotelineError
from index.store import Filters, Restored, read_backup
from service import queueing
from service.answering import DEFAULT_TOP_K, MOST_TOP_K
from service.keycommands import keys
from service.migrating import copy_articles
from service.paths import Source
from service.plaintext import render_answer
from service.progress import Progress
from service.queueing import open_queue
from service.readers import open_answerer, open_entailment, open_reader
from service.settings import Settings
from service.tally import Tally, counted

if TYPE_CHECKING:
    from index.queueing import Queue

Command = TypeVar("Command", bound=Callable[..., Any])

# The exit code that shells know for what was ended by Ctrl-C.
INTERRUPTED = 130


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
    corpus = Corpus(settings.corpus_folder, encoder, index=settings.index, rebuild=rebuild, encode_again=encode_again)
    try:
        yield corpus
    finally:
        corpus.close()


_COMMON = ("data", "index", "model", "models")
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
    _check_collection(collection)
    sys.exit(1 if _add_to(_settings(**given), paths, collection) else 0)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--collection", help="The collection they go into; else where they are already, or `default`.")
@_flags("index", "queue")
def enqueue(paths: tuple[Path, ...], collection: str | None, **given: object) -> None:
    """Put articles from files and folders into the queue, for any number of `quoteline work` to add.

    They are put there whole: no worker needs the files. Of a file that is enqueued twice the second is no change.
    """
    _check_collection(collection)
    with open_queue(_settings(**given)) as opened:
        failed = queueing.enqueue(opened, paths, collection)
    sys.exit(1 if failed else 0)


@commands.command()
@click.option("--until-empty", is_flag=True, help="End when nothing is left in the queue, also to others.")
@_flags(*_COMMON, "queue", "device")
def work(until_empty: bool, **given: object) -> None:
    """Add what is in the queue, beside any number of other workers; end it at any time.

    What it had at hand is taken up by another one, at once or, where it ended without a word, after a minute.
    """
    tally, settings = Tally(), _settings(**given)
    with open_queue(settings) as opened, _corpus(settings, adding=True) as corpus:
        try:
            _work(corpus, opened, tally, until_empty)
        except KeyboardInterrupt:
            tally.summarize()
            click.echo("interrupted; what was at hand is for other workers now", err=True)
            sys.exit(INTERRUPTED)
    tally.summarize()


@commands.command("queue")
@click.option("--retry", is_flag=True, help="Let all articles that failed wait again.")
@click.option("--follow", is_flag=True, help="Go on telling, until nothing is left.")
@_flags("index", "queue")
def look_at_queue(retry: bool, follow: bool, **given: object) -> None:
    """Say what waits in the queue, what is being worked on, what was done, and what failed."""
    with open_queue(_settings(**given)) as opened:
        if retry:
            click.echo(f"tried again: {counted(opened.retry(), 'article')}")
        if follow:
            queueing.follow(opened)
        for line in queueing.described(opened):
            click.echo(line)


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
    click.echo(f"removed {counted(len(set(article_ids)), 'article')}")


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
    click.echo(f"rebuilt the indexes of {counted(found, 'article')}, {counted(passages, 'passage')}")


@commands.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_flags(*_COMMON)
def backup(folder: Path, **given: object) -> None:
    """Copy all articles and vectors, as they are now, to the new folder FOLDER; servers and writers go on."""
    with _corpus(_settings(**given)) as corpus:
        made = corpus.back_up(folder)
    click.echo(f"{counted(made.articles, 'article')}, generation {made.generation}: {folder}")


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
        if settings.index:
            raise
        # A damaged backup is told before anything is moved.
        read_backup(folder)
        kept = set_aside(settings.corpus_folder)
        click.echo(f"the damaged database is kept as {kept}; servers that were using it have to be restarted", err=True)
        restored = _restore(settings, folder, with_deleted)
    click.echo(f"restored {counted(restored.articles, 'article')}, {counted(restored.versions, 'version')}")
    if restored.left_out:
        click.echo(
            f"left out {counted(restored.left_out, 'article')}: removed since; --with-deleted brings them back",
            err=True,
        )


@commands.command()
@_flags(*_COMMON)
def migrate(**given: object) -> None:
    """Copy the corpus of this machine to where QUOTELINE_INDEX says, and check it there; this one stays as it is.

    Nobody changes it meanwhile. Ended in between, the same command goes on.
    """
    settings = _settings(**given)
    if not settings.index:
        raise InputError("it is not said where to: set QUOTELINE_INDEX to milvus://…?store=postgresql://…")
    if (store := Address.parse(settings.index).store) is not None:
        with Progress("copying and comparing", 1, unit=" steps") as progress:
            encoder = load_encoder(settings.model, settings.models_folder)
            copied = copy_articles(settings.corpus_folder, store, encoder, progress.reach_of)
        said = f"{counted(copied.articles, 'article')}, {counted(copied.versions, 'version')}"
        click.echo(f"copied {said}; {copied.there_before:,} of the articles were there before", err=True)
    click.echo("filling the index, then comparing it with the articles", err=True)
    with _corpus(settings) as corpus:
        findings = corpus.check()
        passages = corpus.store.counts()[2]
    for finding in findings:
        click.echo(finding)
    if findings:
        sys.exit(1)
    click.echo(f"all is consistent: {counted(passages, 'passage')}; keep QUOTELINE_INDEX set from now on")


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
    there = (counted(found, "article"), counted(sentences, "sentence"), counted(passages, "passage"))
    click.echo(f"all is consistent: {', '.join(there)}")


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


def _check_collection(collection: str | None) -> None:
    if collection is not None and not COLLECTION.fullmatch(collection):
        raise InputError(f"{collection!r} is no collection: {COLLECTION_RULE}")


def _add_to(settings: Settings, paths: tuple[Path, ...], collection: str | None = None) -> int:
    """Open the corpus, add the articles in `paths`, and close it again, so that a server keeps nothing of it."""
    with _corpus(settings, adding=True) as corpus:
        return _add(corpus, paths, collection)


def _add(corpus: Corpus, paths: tuple[Path, ...], collection: str | None) -> int:
    """Add the articles in `paths`, say what became of them, and return how many failed."""
    tally = Tally()
    source = Source(paths, collection, tally.fail)
    try:
        with Progress("adding", source.size) as progress, closing(corpus.add(source.articles())) as outcomes:
            tally.tell = progress.say
            for outcome in outcomes:
                tally.count(outcome)
                progress.reach(source.settle(), tally.note)
    except KeyboardInterrupt:
        tally.summarize()
        click.echo("interrupted; what was added stays, and the same command goes on from there", err=True)
        sys.exit(INTERRUPTED)
    tally.summarize()
    if tally.changed:
        click.echo("tidying the indexes; what was added can be asked for meanwhile", err=True)
        corpus.tidy()
    return tally.failed


def _work(corpus: Corpus, queue: "Queue", tally: Tally, until_empty: bool) -> None:
    # Imported here: they need a package that a corpus of one machine does without.
    from index.queueing import LEASE, worker_name
    from service.working import Worker

    with Progress("working", 0, unit=" articles") as progress:
        tally.tell = progress.say
        worker = Worker(corpus, queue, worker_name(), tell=progress.say, renew_after=LEASE / 4)
        for outcome in worker.work(until_empty=until_empty):
            tally.count(outcome)
            progress.reach(tally.counts.total())
