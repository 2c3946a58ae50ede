// The chat. Without it a question is a plain form, and its answer a page; with it a conversation that stays.

import {
  askedAbout, difference, groups, many, speaker, summary, timesTold, toldOf, when,
} from "./remarks.js";
import {
  aboutArticle, articlePath, articleText, call, day, key, keyForm, keySaid, make, root, sentence, viewAddress, web, words,
} from "./client.js";

const MOST_TURNS = 50; // that the service takes
const LONGEST_QUOTE = 10_000;
const CHAT = "quoteline-chat"; // what this tab keeps of the conversation, so that it can be left and come back to
const LEANING =
  /^[^\p{L}\p{N}_]*(he|she|it|they|him|her|them|his|hers|its|theirs?|this|that|these|those|(him|her|it)self|themselves)\b/iu;

const $ = (id) => document.getElementById(id);
const settings = document.documentElement.dataset;
const [form, box, thread, said] = [$("ask"), $("q"), $("thread"), $("said")];
const still = matchMedia("(prefers-reduced-motion: reduce)");
const compare = form.elements.compare?.value !== "false";
const turns = []; // {question, quotes} of what was answered, oldest first
let asking = null; // the AbortController of the question that is on its way
const kept = []; // {answer, filters} of the same
let count = 0;

// Asking

async function ask(question, { isFirst = false } = {}) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const filters = filtersSet();
  const turn = newTurn(question);
  thread.append(turn);
  document.body.classList.remove("empty");
  form.setAttribute("aria-busy", "true");
  announce("Looking…");
  show(turn);
  try {
    const answer = await call("ask", {
      method: "POST", json: { question, turns: turns.slice(-MOST_TURNS), filters, compare }, signal: mine.signal,
    });
    fill(turn, answer, filters);
    remember(answer, filters);
    if (!isFirst) history.replaceState(null, "", permalink(answer, filters));
    document.title = `${question} · Quoteline`;
  } catch (problem) {
    if (problem.name === "AbortError") turn.remove();
    else refuse(turn, question, problem);
  } finally {
    if (asking === mine) {
      asking = null;
      form.removeAttribute("aria-busy");
    }
  }
}

function remember(answer, filters) {
  const quotes = answer.citations.map(({ quote }) => quote.slice(0, LONGEST_QUOTE).toWellFormed());
  turns.push({ question: answer.question, quotes });
  kept.push({ answer, filters });
  try {
    sessionStorage.setItem(CHAT, JSON.stringify(kept));
  } catch {
    // There is room for a few megabytes; a longer conversation ends with the page.
  }
}

/** Show what was said before the page was left, if its address is still that of the last answer. */
function recall() {
  const before = JSON.parse(sessionStorage.getItem(CHAT) ?? "[]");
  const last = before.at(-1);
  if (!last || permalink(last.answer, last.filters) !== location.href.split("#")[0]) return false;
  thread.replaceChildren();
  for (const { answer, filters } of before) append(answer, filters);
  thread.lastElementChild.scrollIntoView();
  return true;
}

function append(answer, filters) {
  const turn = newTurn(answer.question);
  thread.append(turn);
  fill(turn, answer, filters);
  remember(answer, filters);
}

function filtersSet() {
  const given = new FormData(form);
  const all = (name) => given.getAll(name).map((value) => value.trim()).filter(Boolean);
  const filters = {};
  if (all("source").length) filters.source = all("source");
  if (all("collection").length) filters.collection = all("collection");
  if (given.get("date_from")) filters.date_from = given.get("date_from");
  if (given.get("date_to")) filters.date_to = given.get("date_to");
  return filters;
}

/** The address of an answer, which opens without a script, too: of the question as it was understood. */
function permalink(answer, filters) {
  const query = new URLSearchParams({ q: answer.understood ?? answer.question });
  for (const [name, value] of Object.entries(filters)) [value].flat().forEach((one) => query.append(name, one));
  if (!compare) query.append("compare", "false");
  return new URL(`?${query}`, root).href;
}

// Answers

function newTurn(question) {
  count += 1;
  const heading = make("h2", { class: "question", id: `turn-${count}` }, question);
  const waiting = make("p", { class: "waiting" }, "Looking…");
  return make("section", { class: "turn", "aria-labelledby": heading.id }, heading, waiting);
}

function fill(turn, answer, filters) {
  const heading = turn.querySelector(".question");
  const number = heading.id.replace("turn-", "");
  const told = toldOf(answer.comparison);
  const isShown = (one) => one.n === 1 || one.score >= Number(settings.perhaps) || told.has(one.n);
  const shown = answer.citations.filter(isShown);
  const weaker = answer.citations.filter((one) => !isShown(one));
  const sides = groups(answer.comparison, shown);
  const all = [...sides.flatMap(({ citations }) => citations), ...weaker, ...answer.nearest];
  const parts = [heading];
  if (answer.understood) parts.push(make("p", { class: "understood" }, "Understood as ", make("q", {}, answer.understood)));
  parts.push(make("p", { class: `verdict ${answer.verdict}` }, verdict(answer)), ...compared(answer, number));
  for (const one of sides) parts.push(...side(one, all, number));
  if (weaker.length) {
    const many = `${weaker.length} weaker ${weaker.length === 1 ? "sentence" : "sentences"}`;
    parts.push(make("details", { class: "weaker" }, make("summary", {}, many), ...sources(weaker, all, number)));
  }
  if (answer.nearest.length) {
    parts.push(make("h3", { class: "nearest" }, "Nearest, but not an answer"), ...sources(answer.nearest, all, number));
  }
  if (!all.length && !Object.keys(filters).length) parts.push(...howToAdd());
  const link = permalink(answer, filters);
  const copyLink = make("button", { type: "button", onclick: () => copy(link, "The link is copied.") }, "Copy link");
  parts.push(make("p", { class: "acts" }, copyLink));
  turn.replaceChildren(...parts);
  const first = all[0];
  const said = [sentence(verdict(answer)), summary(answer), first && answer.citations.length && first.quote];
  announce(said.filter(Boolean).join(" "));
}

function verdict(answer) {
  if (answer.verdict === "unanswered") return answer.reason;
  if (answer.verdict === "perhaps") return "May answer; it is not certain";
  const strong = answer.citations.filter((one) => one.score >= Number(settings.answered));
  const many = new Set(strong.map((one) => one.article_id)).size || 1;
  return many === 1 ? "1 source answers this" : `${many} sources answer this`;
}

/** What the citations say beside each other, and when. */
function compared(answer, number) {
  const parts = [];
  const remark = (tag, attributes, said) => make(tag, attributes, ...said.flatMap((one) => pieces(one, number)));
  if (summary(answer)) parts.push(make("p", { class: "compared" }, summary(answer)));
  if (answer.time) parts.push(remark("p", { class: "asked" }, askedAbout(answer.time)));
  if (answer.age) parts.push(make("p", { class: "notice age" }, answer.age));
  const differences = answer.comparison?.differences ?? [];
  if (differences.length) {
    const rows = differences.map((one) => remark("li", {}, difference(one)));
    parts.push(make("ul", { class: "differences", "aria-label": "Differences" }, ...rows));
  }
  return parts;
}

function side({ heading, citations }, all, number) {
  if (!heading) return sources(citations, all, number);
  const name = `side-${number}-${citations[0].n}`;
  const title = make("h3", { class: "side-name", id: name }, ...heading.flatMap((one) => pieces(one, number)));
  return [make("section", { class: "side", "aria-labelledby": name }, title, ...sources(citations, all, number, true))];
}

/** Elements of a piece of a remark. */
function pieces(one, number) {
  if (one.theirs !== undefined) return [words(one.theirs)];
  return [one.cited ? make("a", { href: `#cited-${number}-${one.cited}` }, `[${one.cited}]`) : one];
}

/** Citations by article, in the order in which their articles come first. all: that the panel leafs through. isSide: below a heading. */
function sources(citations, all, number, isSide = false) {
  const articles = new Map();
  for (const one of citations) {
    const name = `${one.version} ${one.article_id}`;
    articles.set(name, [...(articles.get(name) ?? []), one]);
  }
  return [...articles.values()].map((group) => {
    const quotes = make("ul", {}, ...group.map((one) => quoted(one, all, number, isSide)));
    return make("section", { class: "source" }, make(isSide ? "h4" : "h3", { class: "about" }, ...titled(group[0], all)), quotes);
  });
}

/** What the article is called, with a link to the quotation in it, and where it is from. */
function titled(quotation, all) {
  const title = make(
    "a", { class: "title", href: viewAddress(quotation), onclick: (event) => follow(event, quotation, all) },
    words(quotation.title ?? quotation.article_id),
  );
  const facts = [quotation.source && words(quotation.source), quotation.date && day(quotation.date)].filter(Boolean);
  return [title, ...facts.flatMap((fact) => [" ", make("span", { class: "fact" }, fact)])];
}

/** What a quote says to the question, unless a heading says so, whose it is, and when that was. */
function remarks({ says, attribution, times = [] }, isSide) {
  const said = says && !isSide ? [[{}, [`says ${says}`]]] : [];
  const whose = speaker(attribution);
  if (whose) said.push([{}, whose]);
  for (const time of timesTold(times)) said.push([{ title: `${time.first} to ${time.last}` }, when(time)]);
  const rows = said.flatMap(([attributes, remark]) => {
    const inner = make("span", attributes, ...remark.flatMap((one) => pieces(one)));
    return [make("span", { class: "remark" }, inner), " "];
  });
  return said.length ? [make("p", { class: "remarks" }, ...rows.slice(0, -1))] : [];
}

function placesOf({ places = [] }) {
  if (!places.length) return [];
  const rows = places.map((place) => make("li", { class: "about" }, ...titled(place, [place])));
  return [make("details", { class: "places" }, make("summary", {}, `Also in ${many(places.length, "place")}`), make("ul", {}, ...rows))];
}

function quoted(citation, all, number, isSide) {
  const { quote, part } = citation;
  const parts = part === null ? [quote] : [
    quote.slice(0, part.start_utf16 - citation.start_utf16),
    make("strong", {}, part.text),
    quote.slice(part.end_utf16 - citation.start_utf16),
  ];
  const context = citation.before && LEANING.test(quote) ? [make("span", { class: "context" }, citation.before), " "] : [];
  const mark = make(
    "a",
    {
      class: "mark", href: viewAddress(citation), onclick: (event) => follow(event, citation, all),
      "aria-label": `Citation ${citation.n}: read it in the article`,
    },
    `[${citation.n}]`,
  );
  const text = make("p", { dir: "auto" }, ...context, make("bdi", { class: "words" }, ...parts), " ", mark);
  // For the mouse; the keyboard has the mark.
  text.addEventListener("click", (event) => {
    if (!event.target.closest("a") && getSelection().isCollapsed) open(citation, all);
  });
  const acts = make("p", { class: "acts" });
  if (citation.page) acts.append(make("span", { class: "page" }, `page ${citation.page}`));
  if (web(citation.url)) acts.append(make("a", { href: web(citation.link), rel: "noreferrer", target: "_blank" }, "Original"));
  const said = `Copy quote ${citation.n} with its source`;
  acts.append(
    make(
      "button",
      { type: "button", "aria-label": said, onclick: () => copy(asText(citation), "The quote is copied.") },
      "Copy",
    ),
  );
  return make(
    "li", { class: "quote", id: `cited-${number}-${citation.n}` },
    make("blockquote", {}, text), ...remarks(citation, isSide), ...placesOf(citation), acts,
  );
}

function asText(citation) {
  const facts = [citation.title ?? citation.article_id, citation.source, citation.date && day(citation.date).textContent];
  return `“${citation.quote}”\n${facts.filter(Boolean).join(" · ")}\n${citation.link}`;
}

function refuse(turn, question, problem) {
  const heading = turn.querySelector(".question");
  const again = () => {
    turn.remove();
    ask(question);
  };
  if (problem.status === 401) {
    turn.replaceChildren(heading, keyForm(keySaid(problem), again));
    turn.querySelector("input").focus();
  } else {
    const said = make("p", { class: "trouble", role: "alert" }, problem.message);
    const button = make("button", { type: "button", onclick: again }, "Try again");
    turn.replaceChildren(heading, said, make("p", { class: "acts" }, button));
  }
  announce("");
}

function howToAdd() {
  const typed = make("code", { class: "typed" }, `curl -F file=@news.html ${settings.base}/articles`);
  const button = make("button", { type: "button", class: "primary", onclick: openAdding }, "Add an article");
  return [make("p", {}, button), make("p", { class: "fine" }, "Or drop a file anywhere on this page, or type ", typed)];
}

function show(turn) {
  turn.scrollIntoView({ block: "start", behavior: still.matches ? "auto" : "smooth" });
}

function announce(text) {
  said.textContent = text;
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only pages that came over TLS, or from this machine, may use the clipboard.
    const field = make("textarea", { class: "unseen", "aria-hidden": "true" });
    const focused = document.activeElement;
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    focused?.focus();
  }
  toast(done);
}

let fading = 0;
function toast(text) {
  announce(text);
  said.classList.add("seen");
  clearTimeout(fading);
  fading = setTimeout(() => said.classList.remove("seen"), 2500);
}

// The article beside the answer

const panel = make("dialog", { id: "panel", class: "panel", "aria-labelledby": "panel-title" });
let cited = []; // what "next" leafs through
let at = 0;

function follow(event, citation, all) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(citation, all);
}

async function open(citation, all) {
  [cited, at] = [all, all.indexOf(citation)];
  const head = make("h2", { id: "panel-title", tabindex: -1 }, words(citation.title ?? citation.article_id));
  const about = make("p", { class: "about" });
  const body = make("div", { class: "body", tabindex: 0, role: "region", "aria-label": "The article" });
  body.append(make("p", { class: "waiting" }, "Opening…"));
  const tools = make(
    "div",
    { class: "tools" },
    ...(all.length > 1 ? leafing() : []),
    make("a", { class: "plain", href: viewAddress(citation) }, "As a page"),
    make("button", { type: "button", class: "plain", onclick: () => panel.close() }, "Close"),
  );
  panel.replaceChildren(make("div", { class: "sheet" }, tools, make("header", {}, head, about), body));
  if (!panel.open) {
    panel.showModal();
    // The way back of a phone closes it.
    history.pushState({ panel: true }, "");
  }
  head.focus();
  try {
    const article = await call(`${articlePath(citation.article_id)}?version=${citation.version}`);
    if (cited[at] !== citation) return;
    about.replaceChildren(...aboutArticle(article));
    body.replaceChildren(articleText(article, citation.start_utf16, citation.end_utf16));
    const mark = body.querySelector("mark");
    mark?.scrollIntoView({ block: "center" });
    mark?.focus({ preventScroll: true });
  } catch (problem) {
    body.replaceChildren(make("p", { class: "trouble", role: "alert" }, problem.message));
  }
}

function leafing() {
  const step = (by) => () => {
    open(cited[at + by], cited);
    panel.querySelector(`[data-step="${by}"]:not(:disabled)`)?.focus();
  };
  const button = (by, sign, name, none) =>
    make("button", { type: "button", class: "plain", "data-step": by, "aria-label": name, disabled: none, onclick: step(by) }, sign);
  return [
    button(-1, "‹", "Citation before", at === 0),
    make("span", { class: "place" }, `${at + 1} of ${cited.length}`),
    button(1, "›", "Next citation", at === cited.length - 1),
  ];
}

panel.addEventListener("click", (event) => event.target === panel && panel.close());
panel.addEventListener("close", () => history.state?.panel && history.back());
addEventListener("popstate", () => panel.open && !history.state?.panel && panel.close());

// Adding articles

const adding = make("dialog", { id: "add", class: "window", "aria-labelledby": "add-title" });
const field = (name, label, attributes = {}) => make("label", {}, label, make("input", { name, ...attributes }));

function openAdding() {
  if (!adding.childElementCount) buildAdding();
  if (!adding.open) adding.showModal();
}

function buildAdding() {
  const files = make("input", { type: "file", name: "file", multiple: true, accept: ".txt,.md,.html,.htm,.pdf,text/*" });
  const chosen = make("span", { class: "chosen" }, "No file chosen");
  files.addEventListener("change", () => {
    const names = [...files.files].map((file) => file.name);
    chosen.textContent = names.join(", ") || "No file chosen";
  });
  const inner = make(
    "form",
    { class: "sheet" },
    make(
      "header",
      {},
      make("h2", { id: "add-title" }, "Add an article"),
      make("button", { type: "button", class: "plain", onclick: () => adding.close() }, "Close"),
    ),
    make("label", {}, "Text", make("textarea", { name: "text", rows: 7, placeholder: "Paste the text of the article" })),
    make("label", { class: "files" }, "Or files: text, Markdown, HTML or PDF; or drop them here", files, chosen),
    make(
      "details",
      {},
      make("summary", {}, "Title, source, date"),
      make(
        "div",
        { class: "fields" },
        field("title", "Title", { type: "text", maxlength: 1000 }),
        field("source", "Source", { type: "text", maxlength: 1000, list: "sources" }),
        field("date", "Date", { type: "date" }),
        field("url", "Address", { type: "url", maxlength: 2000, placeholder: "https://" }),
        field("collection", "Collection", { type: "text", maxlength: 64, list: "collections" }),
      ),
      make("p", { class: "fine" }, "What is left empty is taken from the article, where it says it."),
    ),
    make("ul", { class: "results", role: "status" }),
    make("div", { class: "line" }, make("button", { type: "submit", class: "primary" }, "Add")),
  );
  inner.addEventListener("submit", (event) => {
    event.preventDefault();
    add(inner);
  });
  adding.append(inner);
}

async function add(inner) {
  const given = new FormData(inner);
  const chosen = given.getAll("file").filter((file) => file.size || file.name);
  const text = given.get("text").trim();
  const results = inner.querySelector(".results");
  const names = ["title", "source", "date", "url", "collection"];
  const about = Object.fromEntries(names.map((name) => [name, given.get(name).trim()]).filter(([, value]) => value));
  results.replaceChildren();
  if (!text && !chosen.length) {
    results.append(make("li", { class: "trouble" }, "Paste a text, or choose a file."));
    return;
  }
  const button = inner.querySelector("[type=submit]");
  button.disabled = true;
  if (text) results.append(await addOne(about.title ?? "The text", { json: { text, ...about } }));
  for (const file of chosen) {
    // A title, a day and an address are those of one article.
    const shared = chosen.length + Boolean(text) === 1 ? about : pick(about, ["source", "collection"]);
    const body = new FormData();
    body.append("file", file);
    for (const [name, value] of Object.entries(shared)) body.append(name, value);
    results.append(await addOne(file.name, { body }));
  }
  button.disabled = false;
  if (!results.querySelector(".trouble")) {
    inner.reset();
    inner.querySelector(".chosen").textContent = "No file chosen";
  }
  meet();
}

const pick = (from, names) => Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));

async function addOne(name, sent) {
  try {
    const added = await call("articles", { method: "POST", ...sent });
    const became = {
      added: `added, ${added.sentences} ${added.sentences === 1 ? "sentence" : "sentences"}`,
      replaced: `is version ${added.version} now`,
      unchanged: "was there already",
    };
    const link = make("a", { href: new URL(`${articlePath(added.article_id)}/view`, root).href }, words(name));
    return make("li", {}, link, `: ${became[added.kind]}`);
  } catch (problem) {
    return make("li", { class: "trouble" }, words(name), `: ${problem.message}`);
  }
}

function dropped(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.toggle("dropping", event.type === "dragover");
  if (event.type !== "drop") return;
  openAdding();
  const input = adding.querySelector("[name=file]");
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change"));
}

// What there is to ask

async function meet() {
  const place = $("corpus");
  try {
    const { collections } = await call("collections");
    const names = Object.keys(collections);
    const total = names.reduce((sum, name) => sum + collections[name], 0);
    $("collections").replaceChildren(...names.map((name) => make("option", { value: name })));
    if (total) {
      const many = `${total.toLocaleString("en")} ${total === 1 ? "article" : "articles"}`;
      place.replaceChildren(make("p", { class: "fine" }, names.length > 1 ? `${many} in ${names.length} collections` : many));
    } else {
      place.replaceChildren(make("p", { class: "none" }, "There are no articles yet."), ...howToAdd());
    }
  } catch (problem) {
    // With a question on the page, its answer has said so already.
    if (problem.status === 401 && document.body.classList.contains("empty")) place.replaceChildren(keyForm(keySaid(problem), meet));
    else if (problem.status !== 401) place.replaceChildren(make("p", { class: "fine" }, problem.message));
  }
}

async function learnSources() {
  try {
    const { articles } = await call("articles?limit=1000");
    const names = [...new Set(articles.map((article) => article.source).filter(Boolean))].sort();
    $("sources").replaceChildren(...names.map((name) => make("option", { value: name })));
  } catch {
    // They are suggestions; a name can be typed without.
  }
}

function sayFilters() {
  const many = Object.values(filtersSet()).flat().length;
  $("filters-said").textContent = many ? ` · ${many} set` : "";
}

// Hands and keys

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = box.value.trim();
  if (!question) return;
  box.value = "";
  ask(question);
});
form.addEventListener("input", sayFilters);
form.querySelector(".filters").addEventListener("toggle", learnSources, { once: true });
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});
for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, dropped);
$("open-add").addEventListener("click", openAdding);
$("open-add").hidden = false;
document.body.append(panel, adding);

const given = $("answer");
const asked = new URLSearchParams(location.search).get("q")?.trim();
if (asked && recall()) {
  box.value = "";
} else if (given) {
  thread.replaceChildren();
  append(JSON.parse(given.textContent), filtersSet());
  box.value = "";
} else if (asked && thread.querySelector("noscript")) {
  // The server refused it for want of a key; there may be one here.
  thread.replaceChildren();
  box.value = "";
  ask(asked, { isFirst: true });
}
if (matchMedia("(pointer: fine)").matches && !thread.querySelector("input")) box.focus({ preventScroll: true });
meet();
