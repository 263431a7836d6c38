// Keys of a page of two dictionaries.
import { VIEWS } from "../../state/address";
import type { CompareState } from "../../state/compare/state";
import { keyMap, type KeyState } from "../../state/keys";
import { neighbour } from "../../state/page";

export const KEYS = keyMap<CompareState & KeyState>([
  [
    "Pairs",
    [
      { keys: [["ArrowLeft", "ArrowRight"], ["k", "j"]], does: "the feature of A before, the one after", act: (state, n) => nextFeature(state, n === 0 ? -1 : 1) },
      { keys: [["ArrowUp", "ArrowDown"]], does: "the feature of B above or below in the table of nearest ones", act: (state, n) => nextPartner(state, n === 0 ? -1 : 1) },
      { keys: [VIEWS.map((_, i) => String(i + 1))], does: "side by side; A without B; B without A; splits; merges", act: openView },
    ],
  ],
  [
    "Texts, examples, charts (Tab leads there)",
    [
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], does: "from token to token, text to text, bar to bar" },
      { keys: [["Enter"]], does: "pin a token of an example" },
    ],
  ],
]);

/** What is in focus and has arrow keys of its own. */
export const ON_TABS = { taken: ({ key }: KeyboardEvent, target: HTMLElement): boolean => key.startsWith("Arrow") && target.matches("[role=tab]") };

function openView({ move }: CompareState, n: number): void {
  move({ view: VIEWS[n] ?? "pair", by: "usual", down: false });
}

function nextFeature({ head, address, move }: CompareState, by: number): boolean {
  if (address.view !== "pair") return false;
  move({ a: neighbour(head, address.a, by), b: null }, "replace");
  return true;
}

function nextPartner({ address, compared, row, move }: CompareState, by: number): boolean {
  const ids = compared.kind === "open" ? compared.view.table.index : null;
  const next = ids?.[row + by];
  if (next === undefined || address.view !== "pair") return false;
  move({ b: next }, "replace");
  return true;
}
