// The corpus, beside the card: its place in the address, pins, and the ways from firing to firing.
import type { VNode } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Reader } from "../../components/explorer/Reader";
import type { ExplorerSource } from "../../data/explorer";
import { count, number } from "../../data/format";
import type { ReaderFiring } from "../../data/contract";
import type { TokenTexts } from "../../data/tokens";
import { MOST_PINS, type ExplorerAddress } from "../../state/explorer/address";
import { useReading } from "../../state/explorer/reading";
import type { Moves } from "../../state/history";
import { reasonOf } from "../../state/load";
import { say } from "../../state/notice";

/** What keys do while the text is open. */
export interface ReaderKeys {
  /** To the next firing of the first pinned feature, or the one before. */
  readonly next: (by: 1 | -1) => void;
  /** To the next page, or the one before; over the ends of documents. */
  readonly turn: (by: 1 | -1) => void;
}

export interface ReaderPaneProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly href: (change: Partial<ExplorerAddress>) => string;
  /** The feature whose card is open. */
  readonly current: number | null;
  /** Where the page's keys find what they do. */
  readonly keys: { current: ReaderKeys | null };
}

export function ReaderPane({ source, texts, address, move, href, current, keys }: ReaderPaneProps): VNode {
  const { document, page, token, pins } = address;
  const reading = useReading(source, document, page, pins);
  const [said, setSaid] = useState("");
  const at = useRef<number | null>(token);
  const latest = useRef(0);
  useEffect(() => {
    at.current = token;
  }, [document, page, token]);
  const next = async (feature: number, by: 1 | -1): Promise<void> => {
    const text = reading.text;
    if (text === null) return;
    const from = text.page.start + (at.current ?? (by === 1 ? -1 : 0));
    const number = ++latest.current;
    try {
      const found = await source.nextFiring(feature, from, by);
      if (number !== latest.current) return;
      setSaid(firingWords(found));
      if (found.wrapped) say(by === 1 ? "On from the beginning of the corpus" : "Back from the end of the corpus");
      const { place } = found;
      move({ document: place.document, page: place.page, token: place.token }, "replace");
    } catch (error) {
      say(reasonOf(error));
    }
  };
  const go = useCallback((to: number, toPage: number) => move({ document: to, page: toPage, token: null }), [move]);
  const pin = useCallback(
    (feature: number): void => {
      if (pins.includes(feature)) move({ pins: pins.filter((one) => one !== feature) }, "replace");
      else if (pins.length < MOST_PINS) move({ pins: [...pins, feature] }, "replace");
      else say(`${MOST_PINS} features colour the text: let go of one first`);
    },
    [pins, move],
  );
  keys.current = {
    next(by) {
      const first = pins[0];
      if (first === undefined) say("Pin a feature first: then n and p lead from firing to firing");
      else void next(first, by);
    },
    turn(by) {
      const known = reading.text?.page;
      if (known === undefined) return;
      const inside = page + by >= 0 && page + by < known.n_pages;
      if (inside) go(document, page + by);
      else if (document + by >= 0 && document + by < known.n_documents) go(document + by, 0);
    },
  };
  useEffect(() => () => {
    keys.current = null;
  }, [keys]);
  const link = useMemo(() => (feature: number) => href({ feature }), [href]);
  return (
    <Reader
      reading={reading}
      texts={texts}
      document={document}
      page={page}
      pinned={pins}
      token={token}
      current={current}
      href={link}
      onPin={pin}
      onOpen={(feature) => move({ feature }, "replace")}
      onGo={go}
      onNext={(feature, by) => void next(feature, by)}
      onHold={(held) => move({ token: held }, "replace")}
      onReach={(reached) => {
        at.current = reached;
      }}
      said={said}
    />
  );
}

function firingWords({ feature, number: place, n_firings, act, place: { document, page } }: ReaderFiring): string {
  return `Firing ${count(place + 1)} of ${count(n_firings)} of feature ${feature}, ${number(act)}, in document ${document}, page ${page}`;
}
