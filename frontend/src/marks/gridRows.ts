// Rows of the table of all features, made by hand and kept: another order, or another place in it, is new text in the same
// elements, and all of it must stand in one frame.
import type { ColumnInfo, LabellingWords } from "../data/contract";
import { number, shown } from "../data/format";
import type { TokenTexts } from "../data/tokens";
import type { Columns, RowText } from "../state/explorer/columns";
import { element } from "./pieces";
import { chipElement } from "./TokenText";

/** What rows are made of. */
export interface RowsOf {
  readonly columns: readonly ColumnInfo[];
  readonly labellings: readonly LabellingWords[];
  readonly data: Columns;
  readonly texts: TokenTexts;
  readonly text: (feature: number) => RowText | null;
  /** Scores of a search, by feature; null where nothing was searched for. */
  readonly scores: ReadonlyMap<number, number> | null;
  readonly noted: ReadonlySet<number>;
  readonly current: number | null;
}

export class GridRows {
  private rows: Row[] = [];
  private shape = "";
  private readonly chips = new Map<number, HTMLElement>();

  constructor(private readonly root: HTMLElement) {}

  /** Draw features, the first of them at a place in the table. */
  draw(features: readonly number[], first: number, of: RowsOf): void {
    const shape = [of.scores !== null, ...of.columns.map(({ name }) => name)].join();
    if (shape !== this.shape) {
      this.rows = [];
      this.root.replaceChildren();
      this.shape = shape;
    }
    const before = new Map(this.rows.map((row) => [row.feature, row]));
    const own = features.map((feature) => before.get(feature));
    const taken = new Set(own);
    const free = this.rows.filter((row) => !taken.has(row)).reverse();
    this.rows = features.map((feature, i) => {
      const row = own[i] ?? free.pop() ?? new Row(of);
      row.draw(feature, first + i, of, this.chip);
      return row;
    });
    for (const { element: left } of free) left.remove();
    this.rows.forEach(({ element: drawn }, i) => {
      const there = this.root.children[i];
      if (there !== drawn) this.root.insertBefore(drawn, there ?? null);
    });
  }

  /** A token as the table shows it: made once, then copied. */
  private readonly chip = (id: number, texts: TokenTexts): Node => {
    let made = this.chips.get(id);
    if (made === undefined) this.chips.set(id, (made = chipElement(texts.runs(id))));
    return made.cloneNode(true);
  };
}

type MakeChip = (id: number, texts: TokenTexts) => Node;

class Row {
  readonly element = document.createElement("div");
  feature = -1;
  private place = -1;
  private current = false;
  private noted = false;
  private readonly head = element("span", "cell feature");
  private readonly score: Words | null;
  private readonly cells: readonly (Words | Tokens)[];

  constructor({ columns, scores }: RowsOf) {
    this.head.setAttribute("role", "rowheader");
    this.head.append("");
    this.score = scores === null ? null : new Words("number");
    this.cells = columns.map(({ kind }) => (kind === "tokens" || kind === "token" ? new Tokens(kind) : new Words(kind)));
    this.element.className = "grid-row";
    this.element.setAttribute("role", "row");
    this.element.setAttribute("aria-selected", "false");
    this.element.append(this.head, ...(this.score === null ? [] : [this.score.element]), ...this.cells.map((cell) => cell.element));
  }

  draw(feature: number, place: number, of: RowsOf, chip: MakeChip): void {
    this.drawHead(feature, place, of);
    if (this.score !== null) {
      const score = of.scores?.get(feature) ?? NaN;
      this.score.draw(score, () => number(score));
    }
    const text = of.text(feature);
    of.columns.forEach((column, i) => {
      const cell = this.cells[i];
      if (cell instanceof Tokens) cell.draw(text, column, of.texts, chip);
      else if (column.kind === "words") {
        const said = text?.explanation ?? "";
        cell?.draw(said, () => said);
        if (cell !== undefined) cell.element.title = said;
      } else {
        const value = of.data.shown(column.name)?.[feature] ?? NaN;
        cell?.draw(value, () => (column.kind === "label" ? labelOf(value, column, of.labellings) : shown(value, column)));
      }
    });
  }

  private drawHead(feature: number, place: number, { current, noted }: RowsOf): void {
    const row = this.element;
    if (feature !== this.feature) {
      this.feature = feature;
      row.id = `row-${feature}`;
      row.dataset["feature"] = String(feature);
      (this.head.firstChild as Text).data = String(feature);
    }
    if (place !== this.place) {
      this.place = place;
      row.setAttribute("aria-rowindex", String(place + 2));
    }
    if ((feature === current) !== this.current) {
      this.current = feature === current;
      row.classList.toggle("current", this.current);
      row.setAttribute("aria-selected", String(this.current));
    }
    if (noted.has(feature) !== this.noted) {
      this.noted = noted.has(feature);
      if (this.noted) this.head.append(noteMark());
      else this.head.lastChild?.remove();
    }
  }
}

/** A cell of a number or a word, worked out again only where its value differs. */
class Words {
  readonly element: HTMLElement;
  private readonly text = document.createTextNode("");
  private value: number | string | null = null;

  constructor(kind: string) {
    this.element = cellOf(kind);
    this.element.append(this.text);
  }

  draw(value: number | string, words: () => string): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    this.text.data = words();
  }
}

/** A cell of tokens. */
class Tokens {
  readonly element: HTMLElement;
  private text: RowText | null = null;

  constructor(kind: string) {
    this.element = cellOf(kind);
  }

  draw(text: RowText | null, { kind, name }: ColumnInfo, texts: TokenTexts, chip: MakeChip): void {
    if (text === this.text) return;
    this.text = text;
    const ids = text === null ? [] : kind === "token" ? (text.top < 0 ? [] : [text.top]) : Array.from({ fired_tokens: text.fired, pushed_up: text.up, pushed_down: text.down }[name] ?? []);
    this.element.replaceChildren(...ids.map((id) => chip(id, texts)));
  }
}

function cellOf(kind: string): HTMLElement {
  const made = element("span", `cell ${kind}`);
  made.setAttribute("role", "gridcell");
  return made;
}

function noteMark(): HTMLElement {
  const made = element("i", "noted");
  made.title = "has a note";
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", "has a note");
  return made;
}

function labelOf(value: number, { labelling }: ColumnInfo, labellings: readonly LabellingWords[]): string {
  return value < 0 ? "" : (labellings[labelling]?.labels[value] ?? "");
}
