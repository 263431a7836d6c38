// What the explorer's address says: the open feature, the table, the search.
import type { ExplorerHead } from "../../data/contract";
import { LOOK, type Look } from "../address";
import { choice, flag, whole, wholeOf, type Field, type Fields } from "../fields";
import type { Range } from "./order";

export const VIEWS = ["table", "map", "text", "prompt", "compare"] as const;
export type View = (typeof VIEWS)[number];

export const WAYS = ["fires", "pushes", "phrase", "explanation", "note", "text"] as const;
export type Way = (typeof WAYS)[number];

/** #f=12&view=table&sort=max&down=1&cols=…&where=max:1~5&q=…&by=phrase&doc=3&page=1&tok=9&pins=12,5&colour=max */
export interface ExplorerAddress extends Look {
  /** null: the first of the table. */
  readonly feature: number | null;
  readonly view: View;
  /** A column, or `score` of a search. */
  readonly sort: string;
  readonly down: boolean;
  readonly columns: readonly string[];
  readonly where: readonly Range[];
  /** What is searched for. */
  readonly words: string;
  /** In which of the ways that it was found. */
  readonly way: Way | null;
  /** A text of the user's own, and a second prompt. */
  readonly text: string;
  readonly compare: string;
  /** Whether a prompt is shown at every index. */
  readonly every: boolean;
  /** The index that this one is compared with, and the feature of it that stands beside the open one; null: the nearest. */
  readonly other: string;
  readonly partner: number | null;
  /** The column that colours the map, or `none`. */
  readonly colour: string;
  /** Of the corpus, as it is read: document, page, the token that is held, the features that colour it. */
  readonly document: number;
  readonly page: number;
  readonly token: number | null;
  readonly pins: readonly number[];
}

/** Features that can colour the text at once. */
export const MOST_PINS = 3;

export function explorerFields(info: ExplorerHead): Fields<ExplorerAddress> {
  const names = new Set(info.columns.map(({ name }) => name));
  const sorts = [...info.columns.filter(({ kind }) => kind !== "tokens" && kind !== "words").map(({ name }) => name), "feature", "score"];
  return {
    feature: whole("f", null),
    view: choice("view", VIEWS, "table"),
    sort: choice<string, string>("sort", sorts, info.sort),
    down: { read: (text) => (text("up") === "1" ? false : true), write: (down) => [["up", down ? null : 1]] },
    columns: {
      read: (text) => {
        const asked = text("cols").split(",").filter((name) => names.has(name));
        return asked.length > 0 ? asked : info.shown;
      },
      write: (columns) => [["cols", columns.join() === info.shown.join() ? null : encodeURIComponent(columns.join())]],
    },
    where: ranges(names),
    words: plainText("q"),
    way: choice("by", WAYS, null),
    text: plainText("text"),
    compare: plainText("with"),
    every: flag("every"),
    other: plainText("b"),
    partner: whole("c.b", null),
    colour: choice<string, string>("colour", ["none", ...info.columns.filter(({ kind }) => kind === "number").map(({ name }) => name)], info.sort),
    document: whole("doc", 0),
    page: whole("page", 0),
    token: whole("tok", null),
    pins: {
      read: (text) => [...new Set(text("pins").split(",").map(wholeOf).filter((id) => id !== null))].slice(0, MOST_PINS),
      write: (pins) => [["pins", pins.length === 0 ? null : pins.join(",")]],
    },
    ...LOOK,
  };
}

function plainText(name: string): Field<string> {
  return { read: (text) => text(name), write: (value) => [[name, value === "" ? null : encodeURIComponent(value)]] };
}

/** column:low~high,… with either end left out where there is none. */
function ranges(names: ReadonlySet<string>): Field<readonly Range[]> {
  return {
    read: (text) =>
      text("where").split(",").flatMap((part) => {
        const [, name = "", low = "", high = ""] = /^(.+):([^~:]*)~([^~:]*)$/.exec(part) ?? [];
        const [from, to] = [end(low, -Infinity), end(high, Infinity)];
        return names.has(name) && from <= to ? [{ column: name, low: from, high: to }] : [];
      }),
    write: (where) => {
      const said = where.map(({ column, low, high }) => `${column}:${Number.isFinite(low) ? low : ""}~${Number.isFinite(high) ? high : ""}`);
      return [["where", said.length === 0 ? null : encodeURIComponent(said.join())]];
    },
  };
}

function end(text: string, otherwise: number): number {
  return text === "" || Number.isNaN(Number(text)) ? otherwise : Number(text);
}
