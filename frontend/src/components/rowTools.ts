// Buttons of the row that the pointer or the keyboard is on: one set, which moves from row to row.
import type { Card } from "../state/card";
import { treeOf } from "../state/tree";
import { copyAndSay } from "./copy";
import { plural } from "../data/format";
import { nextView, rowLabels, rowPlace, shownTokens } from "../marks/examples";
import type { Read } from "./types";

export const NO_WIDER =
  "This page holds no more of the text than it shows. SeqMultiGroupConfig(expand=16) or (expand=\"sequence\") in the layout would add it.";

export class RowTools {
  private readonly element = document.createElement("span");
  private readonly more = button("Expand");
  private readonly copy = button("Copy");

  constructor(
    card: Card,
    /** Whether the layout put wider views into the page. */
    private readonly expandable: boolean,
    expand: (row: HTMLLIElement) => void,
    read?: Read,
  ) {
    this.element.className = "tools";
    this.element.append(this.more, this.copy);
    this.copy.title = expandable ? "Copy the text as shown (c)" : `Copy the text as shown (c). ${NO_WIDER}`;
    const act = (event: Event, what: (row: HTMLLIElement) => void): void => {
      event.stopPropagation();
      if (this.row !== null) what(this.row);
    };
    this.more.addEventListener("click", (event) => act(event, expand));
    this.copy.addEventListener("click", (event) => act(event, (row) => void copyRow(row, card)));
    if (read === undefined) return;
    const open = button("Read");
    open.title = "Read on in its document (r)";
    open.addEventListener("click", (event) => act(event, (row) => readRow(row, card, read)));
    this.element.append(open);
  }

  private get row(): HTMLLIElement | null {
    return this.element.closest("li");
  }

  /** To another row; not out from under the keyboard. */
  moveTo(row: HTMLLIElement): void {
    if (this.row !== row && !this.element.contains(treeOf(this.element).activeElement)) row.append(this.element);
    this.refresh();
  }

  refresh(): void {
    const view = this.row === null || !this.expandable ? null : nextView(this.row);
    const name = view === "Show less" ? "Less" : "More";
    this.more.hidden = view === null;
    this.more.textContent = name;
    this.more.title = `${view ?? ""} (e)`;
    this.more.setAttribute("aria-label", `${name}: ${view ?? ""}`);
  }
}

function button(name: string): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = name;
  return made;
}

/** The row's labels, as a line below its text. */
function labelWords(row: HTMLLIElement, card: Card): string {
  const codes = rowLabels(row);
  const known = card.head.labellings.flatMap(({ name, labels }, i) => {
    const label = labels[codes[i] ?? -1];
    return label === undefined ? [] : [`${name}: ${label}`];
  });
  return known.length === 0 ? "" : `\n[${known.join(", ")}]`;
}

export async function copyRow(row: HTMLLIElement, card: Card): Promise<void> {
  const tokens = shownTokens(row);
  await copyAndSay(card.texts.raw(tokens) + labelWords(row, card), `Copied ${plural(tokens.length, "token")}`);
}

/** Opens the document of a row's token in focus. */
export function readRow(row: HTMLLIElement, card: Card, read: Read): void {
  const place = rowPlace(row);
  if (place !== null) read(card.view.feature, place.sequence, place.position);
}
