// Keys of a page of two dictionaries.
import { PAGE_KEYS, useKeys, type Keys } from "../../state/keys";
import { VIEWS } from "../../state/compare/address";
import type { CompareState } from "../../state/compare/state";

export const KEYS: Keys = [
  [
    "Pairs",
    [
      ["← →, k j", "the feature of A before, the one after"],
      ["↑ ↓", "the feature of B above or below in the table of nearest ones"],
      ["1 to 5", "side by side; A without B; B without A; splits; merges"],
    ],
  ],
  [
    "Texts, examples, charts (Tab leads there)",
    [
      ["← → ↑ ↓", "from token to token, text to text, bar to bar"],
      ["Enter", "pin a token of an example"],
    ],
  ],
  ...PAGE_KEYS,
];

/** The feature of A before or after, round the end; from one that is not on the page, the nearest. */
export function stepped({ source, address }: CompareState, by: number): number {
  const ids = source.a.head.summary.feature;
  const place = ids.indexOf(address.a);
  if (place >= 0) return ids[(place + by + ids.length) % ids.length] ?? address.a;
  const beyond = Array.from(ids).filter((id) => (by > 0 ? id > address.a : id < address.a));
  return (by > 0 ? beyond[0] : beyond.at(-1)) ?? ids[0] ?? address.a;
}

export function useCompareKeys(state: CompareState, help: boolean, setHelp: (open: boolean) => void): void {
  useKeys({
    help,
    setHelp,
    act: ({ key }) => act(key, state),
    taken: ({ key }, target) => key.startsWith("Arrow") && target.matches("[role=tab]"),
  });
}

function act(key: string, state: CompareState): boolean {
  const { address, move } = state;
  const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[key];
  const view = VIEWS[Number(key) - 1];
  if (view !== undefined) move({ view, by: "usual", down: false });
  else if (address.view !== "pair") return false;
  else if (by !== undefined) move({ a: stepped(state, by), b: null }, "replace");
  else if (key === "ArrowDown" || key === "ArrowUp") return nextPartner(state, key === "ArrowDown" ? 1 : -1);
  else return false;
  return true;
}

function nextPartner({ compared, row, move }: CompareState, by: number): boolean {
  const ids = compared.kind === "open" ? compared.view.table.index : null;
  const next = ids?.[row + by];
  if (next === undefined) return false;
  move({ b: next }, "replace");
  return true;
}
