// Features side by side: which are open, which one the keys act on, and how they come and go.
import { useRef, useState } from "preact/hooks";
import { MOST_BESIDE, type FeatureAddress } from "./address";
import { say } from "./notice";
import { neighbour, type Page } from "./page";
import type { Head } from "../data/source";

export interface Panes {
  readonly features: readonly number[];
  /** A name for each that stays while the others come and go. */
  readonly keys: readonly number[];
  /** The place of the one that keys and the list act on. */
  readonly active: number;
  activate(place: number): void;
  /** Open a feature in a place. */
  go(place: number, feature: number): void;
  step(place: number, by: number): void;
  /** Open a feature beside the others; one that is open already is only made the active one. */
  beside(feature: number): void;
  /** Open the next feature of the page that is not open yet. */
  compare(): void;
  close(place: number): void;
}

export function usePanes({ head, address, move }: Page<FeatureAddress>): Panes {
  const { features } = address;
  const [wanted, setActive] = useState(0);
  const keys = useKeys(features.length);
  const active = Math.min(wanted, features.length - 1);
  const put = (place: number, feature: number): readonly number[] => features.map((open, i) => (i === place ? feature : open));
  const beside = (feature: number): void => {
    const place = features.indexOf(feature);
    if (place < 0 && features.length >= MOST_BESIDE) {
      say(`${MOST_BESIDE} features side by side at most: close one first`);
      return;
    }
    setActive(place < 0 ? features.length : place);
    if (place < 0) move({ features: [...features, feature] }, "push");
  };
  return {
    features,
    keys,
    active,
    activate: setActive,
    go: (place, feature) => move({ features: put(place, feature) }, "push"),
    step: (place, by) => move({ features: put(place, neighbour(head, features[place] ?? 0, by)) }, "replace"),
    beside,
    compare: () => beside(unopened(head, features)),
    close: (place) => {
      keys.splice(place, 1);
      if (place < active) setActive(active - 1);
      move({ features: features.filter((_, i) => i !== place) }, "push");
    },
  };
}

/** One key for each place; new places get new keys. */
function useKeys(n: number): number[] {
  const keys = useRef<number[]>([]);
  const next = useRef(0);
  while (keys.current.length < n) keys.current.push(next.current++);
  keys.current.length = n;
  return keys.current;
}

function unopened(head: Head, features: readonly number[]): number {
  const last = features.at(-1) ?? 0;
  let next = neighbour(head, last, 1);
  while (features.includes(next) && next !== last) next = neighbour(head, next, 1);
  return next;
}
