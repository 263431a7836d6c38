// Keys of a page of features.
import { PAGE_KEYS, useKeys, type Keys } from "../../state/keys";

export const KEYS: Keys = [
  [
    "Features",
    [
      ["← →, k j", "the feature before, the feature after"],
      ["/", "find a feature: by number, token, density, maximum, text in its examples"],
      ["b, or Ctrl-click on a feature's link", "one more feature beside; keys act on the marked one"],
    ],
  ],
  [
    "Examples (Tab leads there)",
    [
      ["← → ↑ ↓", "from token to token, from example to example"],
      ["Enter, or click on a token", "pin its details, to compare with another token; again: let go"],
      ["e, or click beside the text", "show more of the text"],
      ["c", "copy the text as shown"],
    ],
  ],
  ["Charts (Tab leads there)", [["← →", "from bar to bar; tokens in its range light up"]]],
  ...PAGE_KEYS,
];

export interface FeatureKeys {
  readonly step: (by: number) => void;
  readonly compare: () => void;
  readonly finding: boolean;
  readonly setFinding: (open: boolean) => void;
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

export function useFeatureKeys({ step, compare, finding, setFinding, help, setHelp }: FeatureKeys): void {
  useKeys({
    help,
    setHelp,
    act({ key }) {
      const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[key];
      if (by !== undefined) step(by);
      else if (key === "/") setFinding(true);
      else if (key === "b") compare();
      else return false;
      return true;
    },
    close() {
      if (finding) setFinding(false);
      return finding;
    },
  });
}
