// Keys of a page of features.
import { keyMap, type KeyState } from "../../state/keys";

export interface FeatureKeys extends KeyState {
  readonly step: (by: number) => void;
  readonly compare: () => void;
  readonly setFinding: (open: boolean) => void;
}

export const KEYS = keyMap<FeatureKeys>([
  [
    "Features",
    [
      { keys: [["ArrowLeft", "ArrowRight"], ["k", "j"]], does: "the feature before, the feature after", act: ({ step }, n) => step(n === 0 ? -1 : 1) },
      { keys: [["/"]], does: "find a feature: by number, token, density, maximum, text in its examples", act: ({ setFinding }) => setFinding(true) },
      { keys: [["b"]], or: "or Ctrl-click on a feature's link", does: "one more feature beside; keys act on the marked one", act: ({ compare }) => compare() },
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
  ["Charts (Tab leads there)", [{ keys: [["ArrowLeft", "ArrowRight"]], does: "from bar to bar; tokens in its range light up" }]],
]);
