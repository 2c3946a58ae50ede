"""The pages that people look at, as HTML.

All that comes from articles and questions is escaped, and no link unless it is one of the web.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter

from index.articles import Span
from index.retrieval import LONGEST_QUESTION
from service.answering import Answer, Citation
from service.citations import Quotation
from service.comparison import Difference
from service.remarks import (
    Cited,
    Group,
    Remark,
    Theirs,
    asked_about,
    by_strength,
    count,
    difference,
    groups,
    remarks,
    summary,
    times,
    when,
)
from service.routes.articles import ArticleDetail

_JSON = TypeAdapter(Answer)
_NOT_COMPARED = '<input type="hidden" name="compare" value="false">\n'


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a form sent it, with its filters. compare: as in `Answerer.ask`."""

    question: str = ""
    sources: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    date_from: str = ""
    date_to: str = ""
    compare: bool = True

    def query(self, question: str) -> str:
        """Return the query that asks `question` with the same filters."""
        fields = [("q", question), *(("source", name) for name in self.sources)]
        fields += [("collection", name) for name in self.collections]
        fields += [("date_from", self.date_from), ("date_to", self.date_to)]
        fields += [("compare", "" if self.compare else "false")]
        return urlencode([(name, value) for name, value in fields if value])

    def filters(self) -> int:
        """Return how many filters are set."""
        return len(self.sources) + len(self.collections) + bool(self.date_from) + bool(self.date_to)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no answer or no article: what a problem document says."""

    status: int
    title: str
    detail: str

    @property
    def needs_key(self) -> bool:
        """Whether a key may help."""
        return self.status == 401


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities from which a sentence is said to answer, and to be worth showing at once."""

    answered: float
    perhaps: float


# The chat


def chat_page(asked: Asked, shown: Answer | Trouble | None, *, thresholds: Thresholds, root: str, base_url: str) -> str:
    """Return the chat: empty, or with a question and its answer, or what hindered it.

    root: what leads from the page's address to the service's. base_url: the service's address, for what is typed.
    """
    if isinstance(shown, Answer):
        thread = _turn(asked, shown, thresholds, root, base_url)
        # Data, which no browser runs; the script goes on with it. `<` is the only way out of it.
        written = _JSON.dump_json(shown).decode().replace("<", "\\u003c")
        thread += f'<script type="application/json" id="answer">{written}</script>\n'
    elif shown is not None:
        thread = f'<section class="turn">\n<h2 class="question">{_text(asked.question)}</h2>\n{_trouble(shown)}'
        thread += f"{_key_by_hand(base_url) if shown.needs_key else ''}</section>\n"
    else:
        thread = ""
    hero = (
        '<header class="hero">\n<h1>Ask the articles</h1>\n'
        '<p class="lead">The answer is their own sentences, word for word, each with the place where it stands.</p>\n'
        '<div id="corpus"></div>\n</header>\n'
    )
    body = (
        f"{_top(root, tools=True)}"
        f'<main id="main">\n{hero}<div id="thread">\n{thread}</div>\n{_composer(asked)}</main>\n'
        '<p class="said" id="said" role="status"></p>\n'
    )
    title = f"{asked.question} · Quoteline" if asked.question else "Quoteline"
    data = {
        "answered": f"{thresholds.answered:g}",
        "perhaps": f"{thresholds.perhaps:g}",
        "base": base_url,
    }
    return _document(
        title, body, root=root, script="page.js", kind="chat" if asked.question else "chat empty", data=data
    )


def _composer(asked: Asked) -> str:
    many = asked.filters()
    said = f" · {many} set" if many else ""
    return (
        '<form id="ask" class="composer" action="./" method="get" role="search" aria-label="Ask a question">\n'
        '<div class="line">\n<label class="unseen" for="q">Your question</label>\n'
        f'<input id="q" name="q" type="text" required maxlength="{LONGEST_QUESTION}" autocomplete="off" '
        f'enterkeyhint="send" placeholder="Ask a question" value="{_attribute(asked.question)}">\n'
        '<button type="submit" class="primary">Ask</button>\n</div>\n'
        f'<details class="filters"{" open" if many else ""}>\n'
        f'<summary>Filters<span id="filters-said">{said}</span></summary>\n<div class="fields">\n'
        f"{_inputs('source', 'Source', asked.sources, 'sources')}"
        f"{_inputs('collection', 'Collection', asked.collections, 'collections')}"
        f"{_date('date_from', 'From', asked.date_from)}{_date('date_to', 'To', asked.date_to)}"
        f"</div>\n</details>\n{'' if asked.compare else _NOT_COMPARED}"
        '<datalist id="sources"></datalist>\n<datalist id="collections"></datalist>\n</form>\n'
    )


def _inputs(name: str, label: str, values: Sequence[str], names: str) -> str:
    return "".join(
        f'<label>{label}<input name="{name}" type="text" list="{names}" autocomplete="off" '
        f'placeholder="Any" value="{_attribute(value)}"></label>\n'
        for value in values or ("",)
    )


def _date(name: str, label: str, value: str) -> str:
    return f'<label>{label}<input name="{name}" type="date" value="{_attribute(value)}"></label>\n'


def _turn(asked: Asked, answer: Answer, thresholds: Thresholds, root: str, base_url: str) -> str:
    question = answer.understood or answer.question
    understood = f'<p class="understood">Understood as <q>{_text(question)}</q></p>\n' if answer.understood else ""
    shown, weaker = by_strength(answer, thresholds.perhaps)
    parts = [
        '<section class="turn" aria-labelledby="turn-1">\n',
        f'<h2 class="question" id="turn-1">{_text(answer.question)}</h2>\n{understood}',
        f'<p class="verdict {answer.verdict}">{_text(_verdict(answer, thresholds.answered))}</p>\n',
        *_compared(answer),
        *(_group(group, root) for group in groups(answer, shown)),
    ]
    if weaker:
        many = f"{len(weaker)} weaker {'sentence' if len(weaker) == 1 else 'sentences'}"
        parts.append(f'<details class="weaker">\n<summary>{many}</summary>\n{_sources(weaker, root)}</details>\n')
    if answer.nearest:
        parts.append(f'<h3 class="nearest">Nearest, but not an answer</h3>\n{_sources(answer.nearest, root)}')
    if not (answer.citations or answer.nearest) and not asked.filters():
        parts.append(
            f'<p>To add one: <code class="typed">curl -F file=@news.html {_text(base_url)}/articles</code></p>\n'
        )
    parts.append(f'<p class="acts"><a href="./?{escape(asked.query(question))}">Link to this question</a></p>\n')
    return "".join([*parts, "</section>\n"])


def _compared(answer: Answer) -> Iterator[str]:
    """Yield what the citations say beside each other, and when."""
    if told := summary(answer):
        yield f'<p class="compared">{_text(told)}</p>\n'
    if answer.time:
        yield f'<p class="asked">{_remark(asked_about(answer.time))}</p>\n'
    if answer.age:
        yield f'<p class="notice age">{_text(answer.age)}</p>\n'
    if answer.comparison and answer.comparison.differences:
        rows = "".join(map(_difference, answer.comparison.differences))
        yield f'<ul class="differences" aria-label="Differences">\n{rows}</ul>\n'


def _difference(found: Difference) -> str:
    return f"<li>{_remark(difference(found))}</li>\n"


def _group(group: Group, root: str) -> str:
    if group.heading is None:
        return _sources(group.citations, root, group)
    name = f"side-1-{group.citations[0].n}"
    return (
        f'<section class="side" aria-labelledby="{name}">\n<h3 class="side-name" id="{name}">'
        f"{_remark(group.heading)}</h3>\n{_sources(group.citations, root, group)}</section>\n"
    )


def _verdict(answer: Answer, answered: float) -> str:
    if answer.verdict == "unanswered":
        return answer.reason
    if answer.verdict == "perhaps":
        return "May answer; it is not certain"
    many = len({one.article_id for one in answer.citations if one.score >= answered}) or 1
    return "1 source answers this" if many == 1 else f"{many} sources answer this"


def _sources(citations: Iterable[Citation], root: str, group: Group | None = None) -> str:
    """Return the citations by article, in the order in which their articles come first. group: where they stand."""
    articles: dict[tuple[str, int], list[Citation]] = {}
    for one in citations:
        articles.setdefault((one.article_id, one.version), []).append(one)
    return "".join(_source(of_one, root, group) for of_one in articles.values())


def _source(citations: Sequence[Citation], root: str, group: Group | None) -> str:
    quotes = "".join(_quote(one, root, group) for one in citations)
    level = 4 if group and group.heading else 3
    return (
        f'<section class="source">\n<h{level} class="about">{_title(citations[0], root)}</h{level}>\n'
        f"<ul>\n{quotes}</ul>\n</section>\n"
    )


def _title(quoted: Quotation, root: str) -> str:
    """Return what the article is called, with a link to the quotation in it, and where it is from."""
    link = f'<a class="title" href="{escape(view_link(quoted, root))}">{_bdi(quoted.title or quoted.article_id)}</a>'
    return f"{link}{_facts(quoted.source, quoted.date)}"


def _quote(citation: Citation, root: str, group: Group | None) -> str:
    text, part = citation.quote, citation.part
    if part is None:
        words = _text(text)
    else:
        start, end = part.start_char - citation.start_char, part.end_char - citation.start_char
        words = f"{_text(text[:start])}<strong>{_text(text[start:end])}</strong>{_text(text[end:])}"
    context = f'<span class="context">{_text(citation.before or "")}</span> ' if citation.leans else ""
    page = f'<span class="page">page {citation.page}</span>' if citation.page else ""
    original = _web(citation.url) and f'<a href="{escape(citation.link)}" rel="noreferrer" target="_blank">Original</a>'
    acts = f'<p class="acts">{page}{original or ""}</p>\n' if page or original else ""
    return (
        f'<li class="quote" id="cited-1-{citation.n}">\n'
        f'<blockquote><p dir="auto">{context}<bdi class="words">{words}</bdi> '
        f'<a class="mark" href="{escape(view_link(citation, root))}" '
        f'aria-label="Citation {citation.n}: read it in the article">[{citation.n}]</a></p></blockquote>\n'
        f"{_remarks(citation, group)}{_places(citation, root)}{acts}</li>\n"
    )


def _remarks(citation: Citation, group: Group | None) -> str:
    days = {when(time): f"{time.first.isoformat()} to {time.last.isoformat()}" for time in times(citation)}
    said = []
    for remark in remarks(citation, group):
        title = f' title="{days[remark]}"' if remark in days else ""
        said.append(f'<span class="remark"><span{title}>{_remark(remark)}</span></span>')
    return f'<p class="remarks">{" ".join(said)}</p>\n' if said else ""


def _places(citation: Citation, root: str) -> str:
    if not citation.places:
        return ""
    rows = "".join(f'<li class="about">{_title(place, root)}</li>\n' for place in citation.places)
    return (
        f'<details class="places">\n<summary>Also in {count(len(citation.places), "place")}</summary>\n'
        f"<ul>\n{rows}</ul>\n</details>\n"
    )


def _remark(remark: Remark) -> str:
    return "".join(map(_part, remark))


def _part(part: str | Theirs | Cited) -> str:
    if isinstance(part, Theirs):
        return _bdi(part.text)
    return f'<a href="#cited-1-{part.n}">[{part.n}]</a>' if isinstance(part, Cited) else _text(part)


def view_link(quotation: Quotation, root: str) -> str:
    """Return where the page of the article is, at the quotation, in the version that this is from."""
    place = f"version={quotation.version}&start={quotation.start_char}&end={quotation.end_char}"
    return f"{root}articles/{quote(quotation.article_id, safe='')}/view?{place}#cited"


# The page of an article


def article_page(article: ArticleDetail, span: Span | None, notices: Sequence[str], *, root: str) -> str:
    """Return the page of an article, with the text at `span` marked. notices: in words, above the text."""
    said = [f'<p class="notice">{_text(notice)}</p>\n' for notice in notices]
    if not article.current:
        said.append(
            f'<p class="notice">This is version {article.version}; a newer one has taken its place. '
            '<a href="view">Read the newest</a></p>\n'
        )
    title = article.title or article.id
    language = f' lang="{_attribute(article.language)}"' if article.language else ""
    added = f"{article.added_at.day} {article.added_at:%B %Y}"
    body = (
        f'{_top(root)}<main id="main" class="reading">\n<article>\n<header>\n<h1>{_bdi(title)}</h1>\n'
        f'<p class="about">{_about(article)}</p>\n</header>\n{"".join(said)}'
        f'<div class="text" dir="auto"{language}>{_marked(article.text, span)}</div>\n'
        f'<footer class="fine">{_bdi(article.id)} · version {article.version} · added {added}</footer>\n'
        "</article>\n</main>\n"
    )
    return _document(f"{title} · Quoteline", body, root=root, script=None, kind="article")


def article_trouble(article_id: str, trouble: Trouble, *, root: str, base_url: str) -> str:
    """Return the page of an article that cannot be shown; where a key is needed, one that asks for it."""
    by_hand = _key_by_hand(base_url) if trouble.needs_key else ""
    body = (
        f'{_top(root)}<main id="main" class="reading">\n<article id="article">\n'
        f"<header>\n<h1>{_text(trouble.title)}</h1>\n</header>\n{_trouble(trouble)}{by_hand}"
        f'<p><a href="{root}">Ask a question</a></p>\n</article>\n</main>\n'
    )
    script = "article.js" if trouble.needs_key else None
    return _document(
        f"{trouble.title} · Quoteline", body, root=root, script=script, kind="article", data={"article": article_id}
    )


def _about(article: ArticleDetail) -> str:
    facts = [_bdi(article.source) if article.source else "", _day(article.date) if article.date else ""]
    facts.append(_bdi(article.author) if article.author else "")
    if article.url and _web(article.url):
        facts.append(f'<a href="{escape(article.url)}" rel="noreferrer">Original</a>')
    return " · ".join(filter(None, facts))


def _marked(text: str, span: Span | None) -> str:
    if span is None:
        return _text(text)
    return f'{_text(text[: span.start])}<mark id="cited">{_text(span.of(text))}</mark>{_text(text[span.end :])}'


# Both


def _document(
    title: str, body: str, *, root: str, script: str | None, kind: str, data: dict[str, str] | None = None
) -> str:
    facts = "".join(f' data-{name}="{_attribute(value)}"' for name, value in (data or {}).items())
    run = f'<script type="module" src="{root}page/{script}"></script>\n' if script else ""
    return (
        f'<!doctype html>\n<html lang="en"{facts}>\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">\n'
        f"<title>{_text(' '.join(title.split()))}</title>\n"
        f'<link rel="icon" href="{root}page/icon.svg" type="image/svg+xml">\n'
        f'<link rel="stylesheet" href="{root}page/page.css">\n'
        f'<script src="{root}page/theme.js"></script>\n{run}</head>\n<body class="{kind}">\n{body}</body>\n</html>\n'
    )


def _top(root: str, *, tools: bool = False) -> str:
    # What only a script can do is shown by it.
    add = '<a class="plain new" href="./">New</a>\n' if tools else ""
    add += '<button type="button" id="open-add" class="plain" hidden>Add an article</button>\n' if tools else ""
    return (
        '<a class="skip" href="#main">Skip to the content</a>\n<header class="top">\n'
        f'<a class="name" href="{root}" aria-label="Quoteline, start">Quote<span>line</span></a>\n'
        f'<nav aria-label="Tools">\n{add}<a class="plain reference" href="{root}docs">Reference</a>\n'
        '<button type="button" id="theme" class="plain" aria-pressed="false" hidden>Dark</button>\n</nav>\n</header>\n'
    )


def _trouble(trouble: Trouble) -> str:
    return f'<p class="trouble" role="alert">{_text(_sentence(trouble.detail))}</p>\n'


def _key_by_hand(base_url: str) -> str:
    return (
        "<noscript><p>A page can send a key with JavaScript only, and yours is off. From a terminal it is: "
        f'<code class="typed">curl -H "Authorization: Bearer ql_…" "{_text(base_url)}/ask?q=…"</code></p></noscript>\n'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _facts(source: str | None, date: dt.date | None) -> str:
    facts = [_bdi(source) if source else "", _day(date) if date else ""]
    return "".join(f' <span class="fact">{fact}</span>' for fact in facts if fact)


def _day(date: dt.date) -> str:
    return f'<time datetime="{date.isoformat()}">{date.day} {date:%B %Y}</time>'


def _bdi(text: str) -> str:
    # What turns the direction of writing ends where the words end.
    return f"<bdi>{_text(text)}</bdi>"


def _web(url: str | None) -> bool:
    return re.match(r"(?i)https?://", url or "") is not None


def _text(text: str) -> str:
    return escape(text, quote=False)


def _attribute(text: str) -> str:
    return escape(text)
