// What is said about quotes, in words of ours; service/remarks.py has the same, and a test compares the two.
//
// A remark is an array of strings, which are ours, {theirs}, words of an article or a question, and {cited}, the number
// of a citation.

const LONGEST_HEADING = 80;
const BY = {
  says: "said by", denies: "denied by", accuses: "an accusation by", asks: "asked by", doubts: "doubted by",
};
const PRONOUNS = new Set(["he", "she", "it", "they", "we", "i", "who"]);
const KINDS = { name: "Names", number: "Numbers" };
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "long", timeZone: "UTC" });

/** What sources say beside each other, null where there is only one, and where that is unclear. */
export function summary({ comparison }) {
  return comparison && comparison.verdict !== "one_source" ? comparison.summary || null : null;
}

/** The numbers of the citations that a comparison tells of. */
export function toldOf(comparison) {
  if (!comparison) return new Set();
  const sides = comparison.sides.filter((side) => side.says || side.reports).flatMap((side) => side.citations);
  return new Set([...sides, ...comparison.differences.flatMap((one) => one.values.map((value) => value.n))]);
}

/** Citations by side, in the order of their first; those of none come last. One group where there is one side. */
export function groups(comparison, citations) {
  if (!comparison || comparison.sides.length < 2) return citations.length ? [{ heading: null, citations }] : [];
  const left = new Map(citations.map((one) => [one.n, one]));
  const asked = comparison.sides.some((side) => side.says);
  const found = [];
  for (const side of comparison.sides) {
    const mine = side.citations.filter((n) => left.has(n)).map((n) => left.get(n));
    for (const one of mine) left.delete(one.n);
    if (mine.length) found.push({ heading: heading(side), citations: mine });
  }
  found.sort((one, other) => one.citations[0].n - other.citations[0].n);
  if (left.size) found.push({ heading: [asked ? "Unclear" : "Other sentences"], citations: [...left.values()] });
  return found;
}

function heading(side) {
  const sources = many(side.sources, "source");
  if (side.reports === "statement") return [`Also said by those who deny it · ${sources}`];
  const word = side.says || side.reports;
  if (word) return [`${word[0].toUpperCase()}${word.slice(1)} · ${sources}`];
  const words = (side.answer ?? "").split(/\s+/u).filter(Boolean).join(" ");
  if (!words) return [sources];
  const points = [...words];
  const cut = points.length <= LONGEST_HEADING ? words : `${points.slice(0, LONGEST_HEADING - 1).join("").trimEnd()}…`;
  return [{ theirs: cut }, ` · ${sources}`];
}

/** Whose statement it is: `denied by Iran`; null where that is nobody with a name. */
export function speaker(said) {
  const names = said ? [said.speaker, said.named].filter((one) => one && !PRONOUNS.has(one.text.toLowerCase())) : [];
  if (!names.length) return null;
  const [name, other] = names.map((one) => one.text);
  const remark = [`${BY[said.kind]} `, { theirs: name }];
  if (other !== undefined && other !== name) remark.push(" (", { theirs: other }, ")");
  if (said.via) remark.push(", according to ", { theirs: said.via.text });
  return remark;
}

/** The times of which a quote does not say itself when they are, each once. */
export function timesTold(times) {
  const told = new Map();
  for (const time of times) if (!time.words.text.includes(period(time.first, time.last))) told.set(time.words.text, time);
  return [...told.values()];
}

/** When it is: `last month = September 2022`. */
export function when(time) {
  return [{ theirs: time.words.text }, ` = ${period(time.first, time.last)}`];
}

/** Which time a question is about. */
export function askedAbout({ words, first, last }) {
  let asked = null;
  if (first && last) asked = period(first, last);
  else if (first) asked = `from ${period(first, first)} on`;
  else if (last) asked = `until ${period(last, last)}`;
  const said = ["Asked about: ", { theirs: words }];
  return asked === null || words.includes(asked) ? said : [...said, ` = ${asked}`];
}

/** Which values the same thing has: `Numbers differ (drones): more than 300 [1], 2,400 [4]`. */
export function difference({ kind, about, values }) {
  if (kind === "statement") return ["Opposite statements: ", { cited: values[0].n }, " and ", { cited: values[1].n }];
  const numbers = new Map();
  for (const { part, n } of values) numbers.set(part.text, (numbers.get(part.text) ?? new Set()).add(n));
  const said = [`${KINDS[kind]} differ`, ...(about ? [" (", { theirs: about }, ")"] : []), ": "];
  let isFirst = true;
  for (const [text, cited] of numbers) {
    said.push(...(isFirst ? [] : [", "]), { theirs: text }, ...[...cited].flatMap((n) => [" ", { cited: n }]));
    isFirst = false;
  }
  return said;
}

/** The days from first to last, in ISO's form, as people write them: a day, a month, a year, or from one to the other. */
export function period(first, last) {
  const [begin, end] = [first, last].map((iso) => {
    const [year, month, day] = iso.split("-").map(Number);
    return { year, month, day, words: [day, MONTH.format(Date.UTC(2000, month - 1)), year].map(String) };
  });
  const ends = end.day === new Date(Date.UTC(end.year, end.month, 0)).getUTCDate();
  let parts = 3;
  if (begin.day === 1 && ends) parts = begin.month === 1 && end.month === 12 ? 1 : 2;
  const [from, to] = [begin, end].map(({ words }) => words.slice(-parts));
  if (from.join() === to.join()) return to.join(" ");
  // What both end with is said once.
  while (from.at(-1) === to.at(from.length - 1)) from.pop();
  return `${from.join(" ")} to ${to.join(" ")}`;
}

/** How many there are: `2 sources`. */
export function many(number, name) {
  return `${number.toLocaleString("en")} ${name}${number === 1 ? "" : "s"}`;
}
