// The address of a page of features: #f=12,345&log=1&wrap=1&theme=dark
import { useCallback } from "preact/hooks";
import type { Head } from "../data/source";
import { tip } from "./card";
import { Fields, wholeOf, written, type Look } from "./fields";
import { useHash, type Moves } from "./history";

/** Features side by side at most. */
export const MOST_BESIDE = 4;

export interface Address extends Look {
  /** The open features, from left to right; none where the address names none. */
  readonly features: readonly number[];
}

export type Move = Moves<Address>;

export function parse(hash: string): Address {
  const fields = new Fields(hash);
  const named = fields.text("f").split(",").map(wholeOf).filter((id) => id !== null);
  return { features: named.slice(0, MOST_BESIDE), ...fields.look() };
}

export function write({ features, ...look }: Address): string {
  return written([["f", features.length > 0 ? features.join(",") : null]], look);
}

/** The state in the address, and how to change it; a page whose address names no feature opens with its first. */
export function useAddress(head: Head): [Address, Move] {
  const first = head.meta.first ?? head.summary.feature[0] ?? 0;
  const read = useCallback(
    (hash: string): Address => {
      tip.set(null);
      const found = parse(hash);
      return { ...found, features: found.features.length > 0 ? found.features : [first] };
    },
    [first],
  );
  const [address, move] = useHash(read, write);
  const leave = useCallback<Move>(
    (change, how) => {
      move(change, how);
      tip.set(null);
    },
    [move],
  );
  return [address, leave];
}
