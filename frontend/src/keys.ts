// Keys of the whole page; what is in focus (a chart, the examples, the list) has keys of its own and comes first.
import type { Keys } from "./components/Help";
import { useLayoutEffect } from "preact/hooks";
import { pin, setPin, tip } from "./card";

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
  [
    "Page",
    [
      ["Esc", "close or let go of what came last"],
      ["?", "this list"],
    ],
  ],
];

export interface PageKeys {
  readonly step: (by: number) => void;
  readonly compare: () => void;
  readonly finding: boolean;
  readonly setFinding: (open: boolean) => void;
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

export function useKeys(keys: PageKeys): void {
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") closeTopmost(keys);
      else if (keys.help || isTyping(event.target)) return;
      else if (!act(event.key, keys)) return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [keys]);
}

/** Help, then the list, then the pinned token, then the tooltip. */
function closeTopmost({ help, setHelp, finding, setFinding }: PageKeys): void {
  if (help) setHelp(false);
  else if (finding) setFinding(false);
  else if (pin.value !== null) setPin(null);
  else tip.set(null);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select");
}

function act(key: string, { step, compare, setFinding, setHelp }: PageKeys): boolean {
  const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[key];
  if (by !== undefined) step(by);
  else if (key === "/") setFinding(true);
  else if (key === "b") compare();
  else if (key === "?") setHelp(true);
  else return false;
  return true;
}
