// Source tokens of an example, as a second line of text that aligns at the largest of them.
import type { Card } from "../state/card";
import { count, percent, signed } from "../data/format";
import type { AttentionSources, Contexts } from "../data/contract";
import { strength } from "./colours";
import { alignedText, element } from "./pieces";

/** Smallest share of the largest part that is seen as a tint without pointing. */
const SEEN = 0.04;

interface Line {
  readonly contexts: Contexts;
  readonly sources: AttentionSources;
  /** Of the example in its group. */
  readonly index: number;
  /** Number of the group's first source token, counted through all groups of the card. */
  readonly start: number;
  /** Whether every token has its element. */
  readonly full: boolean;
}

const lineOf = new WeakMap<Element, Line>();

/** The line: how far back the largest source is, the text around it, and what of the activation comes from it. */
export function sourceLine(line: Line, card: Card): HTMLElement {
  const { sources, index } = line;
  const from = sources.offsets[index] ?? 0;
  const main = from + (sources.main[index] ?? 0);
  const made = element("span", "from");
  lineOf.set(made, line);
  const back = distance(line);
  const place = element("span", "act", back === 0 ? "itself" : `−${count(back)}`);
  place.title = back === 0 ? "The largest source is the token itself" : `The largest source is ${count(back)} tokens before`;
  const head = sources.head[main] ?? -1;
  const share = (sources.parts[main] ?? NaN) / (sources.total[index] ?? NaN);
  const told = element("span", "told", `${head < 0 ? "" : `head ${head} · `}${percent(share)}`);
  told.title = `Of what attention gives the feature here, ${signed(sources.total[index] ?? NaN)} in all heads from all sources`;
  made.append(place, words(line, card), told);
  return made;
}

/** Give every source token of a row an element of its own. */
export function detailSources(item: HTMLLIElement, card: Card): void {
  const made = item.querySelector(".from");
  const line = made === null ? undefined : lineOf.get(made);
  if (made === null || line === undefined || line.full) return;
  const full = { ...line, full: true };
  lineOf.set(made, full);
  made.querySelector(".text")?.replaceWith(words(full, card));
}

/** Tokens between the largest source and the token in focus. */
function distance({ contexts, sources, index }: Line): number {
  const focus = (contexts.start[index] ?? 0) + (contexts.focus[index] ?? 0);
  return focus - (sources.start[index] ?? 0) - (sources.main[index] ?? 0);
}

function words({ sources, index, start, full }: Line, card: Card): HTMLElement {
  const from = sources.offsets[index] ?? 0;
  const tokens = sources.tokens.subarray(from, sources.offsets[index + 1] ?? from);
  const main = sources.main[index] ?? 0;
  const largest = Math.abs(sources.parts[from + main] ?? 0) || 1;
  const share = (token: number): number => (sources.parts[from + token] ?? 0) / largest;
  return alignedText(tokens, card.texts, {
    focus: main,
    breaks: false,
    plain: (token) => !full && token !== main && Math.abs(share(token)) < SEEN,
    band(token) {
      const part = share(token);
      const seen = Math.abs(part) >= SEEN;
      const made = element("span", `tok${token === main ? " main" : ""}${seen ? (part > 0 ? " gives" : " takes") : ""}`);
      made.dataset["s"] = String(start + from + token);
      if (seen) made.style.setProperty("--a", String(strength(part)));
      return made;
    },
  });
}
