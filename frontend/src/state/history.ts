// A page's state, kept in step with where it is kept: the address behind the #, or a notebook's widget.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parse, write, type Fields } from "./fields";
import { useFrame } from "./frame";
import type { How, Keeper } from "./keeper";

export type { How } from "./keeper";
export type Moves<T> = (change: Partial<T>, how?: How) => void;

/** Parts of the address that belong to others and stay as they are, by their names; left out: there are none. */
export type Others = (name: string) => boolean;

/** Where the names of an address begin with something of their own, since they share it with others. */
export interface Within {
  readonly prefix: string;
  readonly others: Others;
}

/** The state in the address, and how to change it. `fields`, `leave`, called before each change, and `others` stay the same. */
export function useAddress<T extends object>(fields: Fields<T>, leave?: () => void, others?: Others): [T, Moves<T>] {
  const { keeper } = useFrame();
  const [address, setAddress] = useState(() => parse(fields, keeper.read()));
  const current = useRef(address);
  const take = useCallback(
    (next: T) => {
      leave?.();
      current.current = next;
      setAddress(next);
    },
    [leave],
  );
  useLayoutEffect(() => keeper.follow(() => take(parse(fields, keeper.read()))), [fields, take, keeper]);
  const move = useCallback<Moves<T>>(
    (change, how = "push") => {
      const next = { ...current.current, ...change };
      keeper.write(write(fields, next, othersNow(keeper, others)), how);
      take(next);
    },
    [fields, take, others, keeper],
  );
  return [address, move];
}

/** What the address says that belongs to others. */
export function othersNow(keeper: Keeper, others: Others | undefined): readonly string[] {
  if (others === undefined) return [];
  const now = keeper.read().replace(/^#/, "");
  return now.split("&").filter((part) => part !== "" && others(part.split("=")[0] ?? ""));
}
