// Keys of the explorer.
import { keyMap, type KeyState } from "../../state/keys";

export interface ExplorerKeys extends KeyState {
  readonly step: (by: number) => void;
  readonly find: () => void;
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
    "Examples (Tab leads there)",
    [
      { keys: [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]], does: "from token to token, from example to example" },
      { keys: [["Enter"]], or: "or click on a token", does: "pin its details, to compare with another token; again: let go" },
      { keys: [["e"]], or: "or click beside the text", does: "show more of the text" },
      { keys: [["c"]], does: "copy the text as shown" },
    ],
  ],
]);
