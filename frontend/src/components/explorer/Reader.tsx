// The corpus itself, document by document: what fires at a token, text coloured by pinned features, from firing to firing.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { count, number, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { MOST_PINS } from "../../state/explorer/address";
import type { PageText, Reading } from "../../state/explorer/reading";
import { Signal } from "../../state/signal";
import { HeldToken, ReaderTip, Swatch } from "./ReaderFires";
import { ReaderText, type Pointed } from "./ReaderText";

const TIP_ID = "reader-tip";

export interface ReaderProps {
  readonly reading: Reading;
  readonly texts: TokenTexts;
  /** Document and page that are asked for. */
  readonly document: number;
  readonly page: number;
  /** Features that colour the text, each with its own hue. */
  readonly pinned: readonly number[];
  /** The token of the page that is held. */
  readonly token: number | null;
  /** The feature whose card is open. */
  readonly current: number | null;
  readonly href: (feature: number) => string;
  /** Pin a feature, or let it go. */
  readonly onPin: (feature: number) => void;
  readonly onOpen: (feature: number) => void;
  readonly onGo: (document: number, page: number) => void;
  readonly onNext: (feature: number, by: 1 | -1) => void;
  readonly onHold: (token: number | null) => void;
  /** The keyboard is on a token. */
  readonly onReach: (token: number) => void;
  /** What has just been gone to, in words. */
  readonly said: string;
}

export function Reader(props: ReaderProps): VNode {
  const { reading, texts, pinned, token, onHold, onPin, onReach, said } = props;
  const { text, busy, failed } = reading;
  const pointed = useMemo(() => new Signal<Pointed | null>(null), []);
  const held = text !== null && token !== null && token < text.n ? token : null;
  return (
    <section class="reader" aria-label="Text" aria-busy={busy}>
      <Where {...props} />
      <Pins {...props} />
      <p class="unseen" role="status">
        {said}
      </p>
      {failed !== null && (
        <p class="message failed" role="alert" data-message="failed">
          This page can't be shown: {failed}
        </p>
      )}
      {text === null && failed === null && <p class="message">Loading the text…</p>}
      {text !== null && text.n === 0 && <p class="quiet">This document is empty.</p>}
      {text !== null && (
        <ReaderText
          text={text}
          texts={texts}
          pinned={pinned}
          held={busy ? null : held}
          pointed={pointed}
          hold={onHold}
          pinNth={(at, n) => {
            const feature = text.at(at)[n]?.feature;
            if (feature !== undefined) onPin(feature);
          }}
          reach={onReach}
          tipId={TIP_ID}
        />
      )}
      {text !== null && held !== null && !busy && (
        <HeldToken text={text} texts={texts} token={held} pinned={pinned} current={props.current} href={props.href} open={props.onOpen} pin={onPin} close={() => onHold(null)} />
      )}
      {text !== null && <ReaderTip id={TIP_ID} text={text} texts={texts} pinned={pinned} pointed={pointed} held={held} />}
    </section>
  );
}

/** Which document and page, the ways to others, and what the page is labelled. */
function Where({ reading, document, page, onGo }: ReaderProps): VNode {
  const known = reading.text?.page ?? null;
  const pages = known?.document === document ? known.n_pages : 1;
  return (
    <header class="reader-where">
      <Numbered what="document" of={known?.n_documents ?? null} at={document} go={(to) => onGo(to, 0)} />
      {pages > 1 && <Numbered what="page" of={pages} at={page} go={(to) => onGo(document, to)} />}
      {known !== null && (
        <span class="quiet">
          {plural(known.document_tokens, "token")}
          {labelWords(reading.text)}
        </span>
      )}
    </header>
  );
}

function labelWords(text: PageText | null): string {
  const said = text?.labelled.filter(({ labels }) => labels.length > 0) ?? [];
  return said.map(({ name, labels }) => ` · ${name}: ${labels.slice(0, 4).join(", ")}${labels.length > 4 ? " …" : ""}`).join("");
}

interface NumberedProps {
  readonly what: "document" | "page";
  /** null: not known. */
  readonly of: number | null;
  readonly at: number;
  readonly go: (to: number) => void;
}

/** One of many by its number, and the ways to the one before and after. */
function Numbered({ what, of, at, go }: NumberedProps): VNode {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.value = String(at);
  }, [at]);
  return (
    <form
      class="numbered"
      onSubmit={(event) => {
        event.preventDefault();
        const text = box.current?.value.trim() ?? "";
        if (/^\d{1,9}$/.test(text)) go(of === null ? Number(text) : Math.min(Number(text), of - 1));
        if (box.current !== null) box.current.value = String(at);
        box.current?.blur();
      }}
    >
      <button type="button" class="icon" aria-label={`Previous ${what}`} title={`Previous ${what}`} disabled={at <= 0} onClick={() => go(at - 1)}>
        ‹
      </button>
      <label>
        {what === "document" ? "Document" : "Page"} <input ref={box} inputMode="numeric" autocomplete="off" size={5} defaultValue={String(at)} aria-label={`Go to ${what}`} />
      </label>
      {of !== null && <span class="quiet">of 0 to {count(of - 1)}</span>}
      <button type="button" class="icon" aria-label={`Next ${what}`} title={`Next ${what}`} disabled={of === null || at >= of - 1} onClick={() => go(at + 1)}>
        ›
      </button>
    </form>
  );
}

/** The features that colour the text: what their hues mean, and the ways to their firings. */
function Pins({ reading, pinned, current, href, onPin, onOpen, onNext }: ReaderProps): VNode {
  const { text } = reading;
  return (
    <ul class="reader-pins" aria-label="Features that colour the text">
      {pinned.map((feature, k) => (
        <li key={feature}>
          <Swatch k={k} />
          <a
            href={href(feature)}
            onClick={(event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey) return;
              event.preventDefault();
              onOpen(feature);
            }}
          >
            Feature {feature}
          </a>
          <span class="quiet">{text === null ? "" : hereWords(text, feature)}</span>
          <button type="button" class="icon" aria-label={`Previous firing of feature ${feature}`} title={`Previous firing${k === 0 ? " (p)" : ""}`} onClick={() => onNext(feature, -1)}>
            ‹
          </button>
          <button type="button" class="icon" aria-label={`Next firing of feature ${feature}`} title={`Next firing${k === 0 ? " (n)" : ""}`} onClick={() => onNext(feature, 1)}>
            ›
          </button>
          <button type="button" class="icon" aria-label={`Let go of feature ${feature}`} title="Let go" onClick={() => onPin(feature)}>
            ×
          </button>
        </li>
      ))}
      {current !== null && !pinned.includes(current) && pinned.length < MOST_PINS && (
        <li>
          <button type="button" class="add" onClick={() => onPin(current)}>
            Colour by feature {current}
          </button>
        </li>
      )}
      {pinned.length === 0 && <li class="quiet">Point at a token to see what fires there.</li>}
    </ul>
  );
}

function hereWords(text: PageText, feature: number): string {
  const acts = text.acts(feature);
  let [n, most] = [0, 0];
  for (const act of acts) {
    if (act === 0) continue;
    n++;
    if (Math.abs(act) > Math.abs(most)) most = act;
  }
  return n === 0 ? "not on this page" : `${count(n)} here, to ${number(most)} of ${number(text.most(feature))}`;
}
