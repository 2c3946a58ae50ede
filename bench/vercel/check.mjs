// Reads a running Quoteline with the unmodified Vercel AI SDK: `node check.mjs http://127.0.0.1:8000`.
//
// Both endpoints, whole and streamed: does the text show quotes word for word, each with its mark `[[n]](link)`; do the
// sources link to where they stand, in their order; does each annotation cut the mark of its own quote out of the text?
// Then a follow-up question and an error. Prints a line for each check; exit code 1 if any failed.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, streamText } from "ai";

const QUESTION = "Did Iran deny sending drones?";
const FOLLOW_UP = "And what did Ukraine say?";

const address = process.argv[2];
const openai = createOpenAI({ baseURL: `${address}/v1`, apiKey: process.env.QUOTELINE_KEY ?? "none" });
const name = (await json(`${address}/v1/models`)).data[0].id;
const answer = await json(`${address}/ask`, { question: QUESTION });
const cited = answer.citations;

// What a frontend receives of one answer: `annotations` as they came on the wire, which the SDK does not show for the
// chat endpoint.
const endpoints = {
  "chat/completions": { model: openai.chat(name), whole: chatAnnotations, streamed: chatChunkAnnotations },
  responses: { model: openai(name), whole: responseAnnotations, streamed: responseEventAnnotations },
};

let failures = 0;
console.log(`model ${name}, ${cited.length} citations`);
await check("POST /ask answers the question", () => assert.equal(answer.verdict, "answered"));
for (const [endpoint, { model, whole, streamed }] of Object.entries(endpoints)) {
  const read = { "generateText": () => generated(model, whole), "streamText": () => streamedOut(model, streamed) };
  for (const [how, ask] of Object.entries(read)) {
    const seen = await ask();
    const title = `${endpoint}, ${how}`;
    await check(`${title}: ends well, counts tokens`, () => {
      assert.equal(seen.finishReason, "stop");
      assert.ok(seen.usage.inputTokens > 0 && seen.usage.outputTokens > 0);
    });
    const marks = [...seen.text.matchAll(/\[\[(\d+)\]\]\(([^()\s]+)\)/g)];
    const shown = marks.map(([, n]) => cited[n - 1]);
    await check(`${title}: ${shown.length} quotes stand in the text, word for word`, () => {
      assert.ok(shown.length > 0);
      for (const { quote } of shown) assert.ok(plain(seen.text).includes(quote), `not in the text: ${quote}`);
    });
    await check(`${title}: sources link to the quotes, in their order`, () => {
      assert.deepEqual(
        seen.sources.map(({ sourceType, url, title }) => ({ sourceType, url, title })),
        shown.map((one) => ({ sourceType: "url", url: one.link, title: one.title ?? one.article_id })),
      );
    });
    await check(`${title}: annotations cut the marks of their quotes out of the text`, () => {
      const points = Array.from(seen.text);
      assert.deepEqual(
        seen.annotations.map(({ start_index: start, end_index: end, url }) => [points.slice(start, end).join(""), url]),
        marks.map(([mark], at) => [mark, shown[at].link]),
      );
    });
    if (seen.pieces) await check(`${title}: ${seen.pieces} pieces of text`, () => assert.ok(seen.pieces > 1));
  }
  await check(`${endpoint}: a follow-up question is understood`, async () => {
    const first = await generateText({ model, prompt: QUESTION });
    const messages = [
      { role: "user", content: QUESTION },
      { role: "assistant", content: first.text },
      { role: "user", content: FOLLOW_UP },
    ];
    const { text } = await generateText({ model, messages });
    assert.match(text, /Understood as/);
    console.log(`     ${text.split("\n").find((line) => line.includes("Understood as"))}`);
  });
}
await check("an unknown model is an error that says so", async () => {
  const asked = generateText({ model: openai.chat("no-such-model"), prompt: QUESTION, maxRetries: 0 });
  await assert.rejects(asked, (error) => APICallError.isInstance(error) && /no-such-model/.test(error.message));
});
process.exitCode = failures ? 1 : 0;

async function check(title, claim) {
  try {
    await claim();
    console.log(`ok   ${title}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${title}\n     ${String(error.message).replaceAll("\n", "\n     ")}`);
  }
}

async function generated(model, annotationsOf) {
  const result = await generateText({ model, prompt: QUESTION });
  return { ...facts(result), annotations: annotationsOf(result.response.body) };
}

async function streamedOut(model, annotationsOf) {
  const result = streamText({ model, prompt: QUESTION, includeRawChunks: true });
  const raw = [];
  let pieces = 0;
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "raw") raw.push(part.rawValue);
    if (part.type === "text-delta" && part.text) pieces += 1;
  }
  const { text, sources, usage, finishReason } = result;
  const seen = facts({
    text: await text,
    sources: await sources,
    usage: await usage,
    finishReason: await finishReason,
  });
  return { ...seen, pieces, annotations: raw.flatMap(annotationsOf) };
}

function facts({ text, sources, usage, finishReason }) {
  return { text, sources, usage, finishReason };
}

function chatAnnotations(body) {
  return (body.choices[0].message.annotations ?? []).map((annotation) => annotation.url_citation);
}

function chatChunkAnnotations(chunk) {
  return (chunk.choices ?? []).flatMap(({ delta }) => delta?.annotations ?? []).map(({ url_citation }) => url_citation);
}

function responseAnnotations(body) {
  return body.output.flatMap((item) => item.content ?? []).flatMap((part) => part.annotations);
}

function responseEventAnnotations(event) {
  return event.type === "response.output_text.annotation.added" ? [event.annotation] : [];
}

// The words of a Markdown text: without emphasis, and without what takes a sign literally.
function plain(markdown) {
  return markdown.replace(/`([^`]*)`|\\(.)|\*\*/g, (_, code, literal) => code ?? literal ?? "");
}

async function json(url, body) {
  const key = process.env.QUOTELINE_KEY;
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(url, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (!response.ok) throw new Error(`${url}: status ${response.status}: ${await response.text()}`);
  return response.json();
}
