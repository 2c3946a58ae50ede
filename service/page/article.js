// The page of an article where keys are needed: a browser that opens a link sends none, so this asks for it.

import { aboutArticle, articlePath, articleText, call, keyForm, keySaid, make, utf16, words } from "./client.js";

const place = document.getElementById("article");
const id = document.documentElement.dataset.article;
const query = new URLSearchParams(location.search);

async function show() {
  const version = query.get("version");
  try {
    render(await call(articlePath(id) + (version ? `?version=${encodeURIComponent(version)}` : "")));
  } catch (problem) {
    if (problem.status === 401) place.replaceChildren(title("A key is needed"), keyForm(keySaid(problem), show));
    else place.replaceChildren(title(problem.title), make("p", { class: "trouble", role: "alert" }, problem.message));
  }
}

function render(article) {
  const [start, end] = ["start", "end"].map((name) => offset(article.text, query.get(name)));
  const isMarked = start !== null && end !== null && start < end;
  const parts = [title(article.title ?? article.id)];
  parts[0].append(make("p", { class: "about" }, ...aboutArticle(article)));
  if (!isMarked && (query.get("start") || query.get("end"))) {
    parts.push(notice("The sentence that the link names is not in this text; nothing is marked."));
  }
  if (!article.current) {
    const said = `This is version ${article.version}; a newer one has taken its place. `;
    parts.push(notice(said, make("a", { href: "view" }, "Read the newest")));
  }
  parts.push(articleText(article, isMarked ? start : null, end));
  parts.push(make("footer", { class: "fine" }, words(article.id), ` · version ${article.version}`));
  place.replaceChildren(...parts);
  document.title = `${article.title ?? article.id} · Quoteline`;
  document.getElementById("cited")?.focus();
}

const offset = (text, said) => (/^\d{1,9}$/.test(said ?? "") ? utf16(text, Number(said)) : null);
const title = (text) => make("header", {}, make("h1", {}, words(text)));
const notice = (...said) => make("p", { class: "notice" }, ...said);

show();
