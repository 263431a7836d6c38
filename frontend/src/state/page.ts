// What every kind of page has: its source, and its state in the address.
import { useMemo } from "preact/hooks";
import type { Head, Source } from "../data/source";
import { TokenTexts } from "../data/tokens";
import type { Look } from "./address";
import { write, type Fields } from "./fields";
import { useFrame } from "./frame";
import { othersNow, useAddress, type Moves, type Others } from "./history";

export interface Page<A extends Look> {
  readonly source: Source;
  readonly head: Head;
  readonly texts: TokenTexts;
  readonly address: A;
  readonly move: Moves<A>;
  /** The link to the page with some of its state changed. */
  readonly href: (change: Partial<A>) => string;
  /** Whether the page holds a feature. */
  readonly has: (feature: number) => boolean;
}

/** `fields` stays the same as long as the page; `leave` is called before its state changes. */
export function usePage<A extends Look>(source: Source, fields: Fields<A>, leave?: () => void, others?: Others): Page<A> {
  const { head } = source;
  const { keeper } = useFrame();
  const [address, move] = useAddress(fields, leave, others);
  const [texts, has] = useMemo(() => [new TokenTexts(head.tokenBytes, head.special), holds(head)], [head]);
  return useMemo(
    () => ({ source, head, texts, address, move, href: (change) => write(fields, { ...address, ...change }, othersNow(keeper, others)), has }),
    [source, head, texts, address, move, fields, has, keeper, others],
  );
}

export function holds({ summary }: Head): (feature: number) => boolean {
  const known = new Set(summary.feature);
  return (feature) => known.has(feature);
}

/** The feature before or after, round the end; from one that is not on the page, the nearest. */
export function neighbour({ summary }: Head, feature: number, by: number): number {
  const ids = summary.feature;
  const place = ids.indexOf(feature);
  if (place >= 0) return ids[(place + by + ids.length) % ids.length] ?? feature;
  const beyond = Array.from(ids).filter((id) => (by > 0 ? id > feature : id < feature));
  return (by > 0 ? beyond[0] : beyond.at(-1)) ?? ids[0] ?? feature;
}
