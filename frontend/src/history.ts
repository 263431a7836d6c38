// The page's state, kept in step with the address.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parse, write, type Address } from "./address";
import { tip } from "./card";
import type { Head } from "./source";

/** Milliseconds after a step until the address says so. */
const STEP_SETTLES = 30;

/** Steps replace the entry in the history, choices add one. */
export type How = "push" | "replace";
export type Move = (change: Partial<Address>, how: How) => void;

/** The state in the address, and how to change it. */
export function useAddress(head: Head): [Address, Move] {
  const first = head.meta.first ?? head.summary.feature[0] ?? 0;
  const read = useCallback((): Address => {
    const found = parse(window.location.hash);
    return { ...found, features: found.features.length > 0 ? found.features : [first] };
  }, [first]);
  const [address, setAddress] = useState(read);
  const current = useRef(address);
  const take = useCallback((next: Address) => {
    current.current = next;
    tip.set(null);
    setAddress(next);
  }, []);
  useLayoutEffect(() => {
    const follow = (): void => {
      drop();
      take(read());
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, [read, take]);
  const move = useCallback(
    (change: Partial<Address>, how: How) => {
      const next = { ...current.current, ...change };
      record(next, how);
      take(next);
    },
    [take],
  );
  return [address, move];
}

/** A step's address, on its way: written once the step's frame is on screen, since the browser takes its time over it. */
let pending: { readonly address: Address; readonly timer: number } | null = null;

function record(address: Address, how: How): void {
  if (how === "replace") {
    drop();
    pending = { address, timer: window.setTimeout(settle, STEP_SETTLES) };
    return;
  }
  settle();
  writeAddress(address, "pushState");
}

function settle(): void {
  const address = pending?.address;
  drop();
  if (address !== undefined) writeAddress(address, "replaceState");
}

function drop(): void {
  if (pending !== null) clearTimeout(pending.timer);
  pending = null;
}

/** Into the address bar, where there is one to write to: a page inside a notebook's cell may have none. */
function writeAddress(address: Address, how: "pushState" | "replaceState"): void {
  try {
    window.history[how](null, "", write(address));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
