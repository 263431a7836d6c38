// The corpus, beside the card: its place in the address, pins, and the ways from firing to firing.
import type { VNode } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Reader } from "../../components/explorer/Reader";
import type { ExplorerSource } from "../../data/explorer";
import { count, number } from "../../data/format";
import type { ReaderFiring } from "../../data/contract";
import type { TokenTexts } from "../../data/tokens";
import { MOST_PINS, type ExplorerAddress } from "../../state/explorer/address";
import { useReading, type Reading } from "../../state/explorer/reading";
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
  const now = useRef({ document, page, token, reading });
  now.current = { document, page, token, reading };
  const known = useRef<Known | null>(null);
  const steps = useRef<Promise<void>>(Promise.resolve());
  const step = async (feature: number, by: 1 | -1): Promise<void> => {
    const asked = now.current;
    const from = positionOf(asked, known.current, by);
    if (from === null) return;
    try {
      const found = await source.nextFiring(feature, from, by);
      if (now.current.document !== asked.document || now.current.page !== asked.page) return; // gone elsewhere meanwhile
      const place = { document: found.place.document, page: found.place.page, token: found.place.token };
      known.current = { ...place, position: found.place.position };
      now.current = { ...now.current, ...place };
      setSaid(firingWords(found));
      if (found.wrapped) say(by === 1 ? "On from the beginning of the corpus" : "Back from the end of the corpus");
      move(place, "replace");
    } catch (error) {
      say(reasonOf(error));
    }
  };
  const next = (feature: number, by: 1 | -1): void => {
    steps.current = steps.current.then(() => step(feature, by)); // one after the other: keys come faster than answers
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
      else next(first, by);
    },
    turn(by) {
      if (reading.text === null || reading.busy) return;
      const { n_pages, n_documents } = reading.text.page;
      if (page + by >= 0 && page + by < n_pages) go(document, page + by);
      else if (document + by >= 0 && document + by < n_documents) go(document + by, 0);
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
      onNext={next}
      onHold={(held) => {
        if (reading.text !== null && token !== null) known.current = { document, page, token: null, position: reading.text.page.start + token };
        move({ token: held }, "replace");
      }}
      onReach={(reached) => {
        if (reading.text !== null && !reading.busy) known.current = { document, page, token, position: reading.text.page.start + reached };
      }}
      said={said}
    />
  );
}

/** A corpus position that is known before its page is there, while the address is this one. */
interface Known {
  readonly document: number;
  readonly page: number;
  readonly token: number | null;
  readonly position: number;
}

interface Now extends Omit<Known, "position"> {
  readonly reading: Reading;
}

/** Where a step from firing to firing begins: the token in focus, else the ends of the page; null: not known yet. */
function positionOf({ document, page, token, reading: { text, busy } }: Now, known: Known | null, by: 1 | -1): number | null {
  if (known !== null && known.document === document && known.page === page && known.token === token) return known.position;
  if (text === null || busy) return null;
  return text.page.start + (token ?? (by === 1 ? -1 : 0));
}

function firingWords({ feature, number: place, n_firings, act, place: { document, page } }: ReaderFiring): string {
  return `Firing ${count(place + 1)} of ${count(n_firings)} of feature ${feature}, ${number(act)}, in document ${document}, page ${page}`;
}
