// Data in blocks of this very document; a block is decoded when what is in it is asked for.
import { decodeCompared, decodeFeature, decodeHead, decodeOverview, decodePrompt, decodeShared } from "./blocks";
import { ExampleSearch } from "./search";
import type { Column, Comparison, Head, Late, Source } from "./source";

/** `side` begins the names of all blocks: a page of two dictionaries has two sources. */
export function inlineSource(page: Document, side = ""): Source {
  const packed = block(page, `${side}head`);
  if (packed === null) throw new Error("the page holds no data");
  const head = decodeHead(packed);
  const prompt = head.prompt ? block(page, "prompt") : null;
  const columns = columnsOf(head);
  const card: Source["card"] = (feature) => whenThere(page, `${side}f${feature}`, (data) => decodeFeature(data, head));
  const examples = new ExampleSearch(head, card);
  return {
    head,
    can: { columns: new Set(columns.keys()), search: true },
    card,
    columns: (names) => names.map((name) => columns.get(name) ?? []),
    search: (words, report) => examples.start(words, report),
    shared(type) {
      const data = block(page, `${side}c${head.modules.indexOf(type)}`);
      if (data === null) throw new Error(`the page holds no data of the component ${type}`);
      return decodeShared(data);
    },
    prompt: prompt === null ? null : decodePrompt(prompt, head),
    comparison: head.compare ? comparisonOf(page, head) : null,
  };
}

function columnsOf({ summary, label_ranks }: Head): ReadonlyMap<Column, ArrayLike<number>> {
  const { density, max, top_token, share } = summary;
  const columns = new Map<Column, ArrayLike<number>>([["density", density], ["max", max], ["top_token", top_token]]);
  if (share !== null) columns.set("share", share);
  label_ranks.forEach(({ unevenness, top }, i) => columns.set(`unevenness ${i}`, unevenness).set(`label ${i}`, top));
  return columns;
}

function comparisonOf(page: Document, head: Head): Comparison {
  const packed = block(page, "compare");
  if (packed === null) throw new Error("the page holds no second dictionary");
  return {
    b: inlineSource(page, "b"),
    overview: decodeOverview(packed, head),
    compared: (feature) => whenThere(page, `p${feature}`, (data) => decodeCompared(data, head)),
  };
}

/** What a block holds, null where there is none; while the script runs beside the reading of the document, a promise of it. */
function whenThere<T>(page: Document, name: string, decode: (data: string) => T): Late<T | null> {
  const find = (): T | null => {
    const data = block(page, name);
    return data === null ? null : decode(data);
  };
  const found = find();
  return found === null && page.readyState === "loading" ? read(page).then(find) : found;
}

/** A block's text; null where there is none, or none yet that is whole. */
function block(page: Document, name: string): string | null {
  const element = page.getElementById(name);
  if (element === null || (page.readyState === "loading" && element.nextSibling === null)) return null;
  return element.textContent;
}

function read(page: Document): Promise<unknown> {
  return new Promise((resolve) => page.addEventListener("DOMContentLoaded", resolve, { once: true }));
}
