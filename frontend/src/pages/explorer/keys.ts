// Keys of the explorer.
import type { ReaderKeys } from "./ReaderPane";
import { keyMap, type KeyState } from "../../state/keys";

export interface ExplorerKeys extends KeyState {
  readonly step: (by: number) => void;
  readonly find: () => void;
  /** Of the text, while it is open. */
  readonly reader: { readonly current: ReaderKeys | null };
}

export const KEYS = keyMap<ExplorerKeys>([
  [
    "Features",
    [
      { keys: [["k", "j"], ["ArrowLeft", "ArrowRight"]], does: "the feature before, the feature after, as the table is sorted", act: ({ step }, n) => step(n === 0 ? -1 : 1) },
      { keys: [["/"]], does: "find features", act: ({ find }) => find() },
    ],
  ],
  [
    "Table (Tab leads there)",
    [
      { keys: [["ArrowUp", "ArrowDown"]], does: "row by row, its card beside it" },
      { keys: [["PageUp", "PageDown"], ["Home", "End"]], does: "page by page, to the ends" },
    ],
  ],
  [
    "Map (Tab leads there)",
    [
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], or: "or drag", does: "move the map" },
      { keys: [["+", "-"]], or: "or the wheel", does: "nearer, farther" },
      { keys: [["0"]], does: "the whole map" },
      { keys: [["Enter"]], or: "or click on a point", does: "open the feature nearest the middle" },
    ],
  ],
  [
    "Text",
    [
      { keys: [["p", "n"]], does: "the firing before, the firing after, of the first pinned feature", act: ({ reader }, n) => reader.current !== null && reader.current.next(n === 0 ? -1 : 1) },
      { keys: [["[", "]"]], does: "the page before, the page after, on to other documents", act: ({ reader }, n) => reader.current !== null && reader.current.turn(n === 0 ? -1 : 1) },
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], does: "from token to token, from line to line (Tab leads there)" },
      { keys: [["Enter"]], or: "or click on a token", does: "hold it and list what fires there; again: let go" },
      { keys: [["1", "2", "3", "4", "5", "6", "7", "8", "9"]], does: "colour the text by the nth feature of that list; again: let go" },
    ],
  ],
  [
    "Examples (Tab leads there)",
    [
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], does: "from token to token, from example to example" },
      { keys: [["Enter"]], or: "or click on a token", does: "pin its details, to compare with another token; again: let go" },
      { keys: [["e"]], or: "or click beside the text", does: "show more of the text" },
      { keys: [["c"]], does: "copy the text as shown" },
      { keys: [["r"]], does: "read on in its document" },
    ],
  ],
]);
