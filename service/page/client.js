// What the pages share: requests with the key that somebody gave, and elements made of text and nothing else.

const KEY = "quoteline-key";
export const root = new URL("..", import.meta.url);

/** Why a request was refused: the title and the detail of a problem document. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Send a request; return what came as JSON. Throws Problem. json: becomes the body. */
export async function call(path, { method = "GET", json, body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  }
  let response;
  try {
    response = await fetch(new URL(path, root), { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Not reached", "The service cannot be reached. Is it running, and are you online?");
  }
  let said = null;
  try {
    said = await response.json();
  } catch {
    // What stands between here and the service may answer with a page of its own.
  }
  if (response.ok && said !== null) return said;
  const detail = said?.detail ?? `It answered ${response.status}, and not as was expected.`;
  throw new Problem(response.status, said?.title ?? "No answer", sentence(detail));
}

/** Make an element. Children are elements or strings, and strings are only ever text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Words that somebody else wrote: what turns the direction of writing ends where they end. */
export const words = (text) => make("bdi", {}, text);

/** Return the address if it is one of the web, else null. */
export function web(address) {
  return /^https?:\/\//i.test(address ?? "") ? address : null;
}

export function day(iso) {
  const [year, month, date] = iso.split("-").map(Number);
  const written = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  return make("time", { datetime: iso }, written.format(Date.UTC(year, month - 1, date)));
}

export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

export const articlePath = (id) => `articles/${encodeURIComponent(id)}`;

/** Where an article's page is, at a citation, in the version that this is from. */
export function viewAddress(citation) {
  const place = `version=${citation.version}&start=${citation.start_char}&end=${citation.end_char}`;
  return new URL(`${articlePath(citation.article_id)}/view?${place}#cited`, root).href;
}

/** Source, date, author and original of an article, as children for one line. */
export function aboutArticle(article) {
  const facts = [article.source && words(article.source), article.date && day(article.date)];
  facts.push(article.author && words(article.author));
  if (web(article.url)) facts.push(make("a", { href: article.url, rel: "noreferrer" }, "Original"));
  return facts.filter(Boolean).flatMap((fact, place) => (place ? [" · ", fact] : [fact]));
}

/** The text of an article, with what stands from `start` to `end` marked; both in UTF-16 units, null for no mark. */
export function articleText(article, start, end) {
  const { text } = article;
  const marked = start !== null && start >= 0 && start < end && end <= text.length;
  const parts = marked
    ? [text.slice(0, start), make("mark", { id: "cited", tabindex: -1 }, text.slice(start, end)), text.slice(end)]
    : [text];
  return make("div", { class: "text", dir: "auto", lang: article.language }, ...parts);
}

/** How many UTF-16 units the first `points` code points of `text` take; null where there are not so many. */
export function utf16(text, points) {
  let units = 0;
  for (let left = points; left > 0; left -= 1) {
    if (units >= text.length) return null;
    units += text.codePointAt(units) > 0xffff ? 2 : 1;
  }
  return units;
}

/** A form that asks for a key, keeps it until the tab is closed, and goes on. */
export function keyForm(said, goOn) {
  const input = make("input", {
    id: "key", type: "password", required: true, autocomplete: "off", spellcheck: "false", placeholder: "ql_…",
  });
  const form = make(
    "form",
    { class: "key", "aria-label": "Key" },
    make("p", { role: "alert" }, said),
    make("label", { for: "key" }, "Your key"),
    make("div", { class: "line" }, input, make("button", { type: "submit", class: "primary" }, "Use it")),
    make("p", { class: "fine" }, "It is kept until you close this tab, and sent to this service only."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    form.remove();
    goOn();
  });
  return form;
}

/** What to say where a key is needed, or the one that was given is not good. */
export function keySaid(problem) {
  const had = key.get() !== null;
  key.forget();
  return had ? problem.message : "This service answers those who have a key. Who runs it can give you one.";
}
