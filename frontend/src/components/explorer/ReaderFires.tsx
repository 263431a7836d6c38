// What fires on a token of the corpus: in short beside the token pointed at, as a list of the token that is held.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { number, percent, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { place as putBeside } from "../../marks/place";
import { Chip } from "../../marks/TokenText";
import type { Fires, PageText } from "../../state/explorer/reading";
import { useSignal, type Signal } from "../../state/signal";
import type { Pointed } from "./ReaderText";

/** Features beside a token that is only pointed at. */
const SHORT = 8;

export interface ReaderTipProps {
  readonly id: string;
  readonly text: PageText;
  readonly texts: TokenTexts;
  readonly pinned: readonly number[];
  readonly pointed: Signal<Pointed | null>;
  /** The token that is held, which the list tells more of. */
  readonly held: number | null;
}

export function ReaderTip({ id, text, texts, pinned, pointed, held }: ReaderTipProps): VNode {
  const on = useSignal(pointed);
  const at = on?.token === held ? null : on;
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (at !== null && box.current !== null) putBeside(box.current, at.box, [at.box], true);
  }, [at]);
  const fires = at === null ? [] : text.at(at.token);
  return (
    <div ref={box} id={id} class="tip reader-tip" role="tooltip" hidden={at === null}>
      {at !== null && <About text={text} texts={texts} token={at.token} />}
      {fires.length > 0 && (
        <table>
          <tbody>
            {fires.slice(0, SHORT).map(({ feature, act, share, top }) => (
              <tr key={feature}>
                <td>
                  <Swatch k={pinned.indexOf(feature)} /> {feature}
                </td>
                <td>
                  <Chip list={texts.runs(top)} />
                </td>
                <td>{number(act)}</td>
                <td style={{ "--share": `${100 * share}%` }}>{percent(share)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {at !== null && <p class="quiet">{firingWords(text, at.token, fires, fires.length - SHORT)}</p>}
    </div>
  );
}

function About({ text, texts, token }: { text: PageText; texts: TokenTexts; token: number }): VNode {
  const { sequence, position } = text.place(token);
  const id = text.page.tokens[token] ?? -1;
  return (
    <dl>
      <div>
        <dt>Token</dt>
        <dd>
          <Chip list={texts.runs(id)} /> <span class="quiet">id {id}</span>
        </dd>
      </div>
      <div>
        <dt>Place</dt>
        <dd>
          sequence {sequence}, position {position}
          {position === 0 && <span class="quiet">: the model reads from here</span>}
        </dd>
      </div>
      {text.labels(token).map(({ name, label }) =>
        label === null ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd dir="auto">{label}</dd>
          </div>
        ),
      )}
    </dl>
  );
}

function firingWords(text: PageText, token: number, fires: readonly Fires[], more: number): string {
  if (text.masked(token)) return "Masked: in no statistic, and nothing is known to fire here.";
  if (!text.whole) return "The index has no codes by token: only pinned features are known here.";
  if (fires.length === 0) return "Nothing fires here.";
  return `${more > 0 ? `${more} more. ` : ""}In %: of the feature's largest activation.`;
}

/** The hue of a pinned feature. */
export function Swatch({ k }: { k: number }): VNode | null {
  return k < 0 ? null : <i class={`swatch hue-${k}`} />;
}

export interface HeldTokenProps {
  readonly text: PageText;
  readonly texts: TokenTexts;
  readonly token: number;
  readonly pinned: readonly number[];
  /** The feature whose card is open. */
  readonly current: number | null;
  readonly href: (feature: number) => string;
  readonly open: (feature: number) => void;
  readonly pin: (feature: number) => void;
  readonly close: () => void;
}

/** Everything that fires on the token that is held. */
export function HeldToken({ text, texts, token, pinned, current, href, open, pin, close }: HeldTokenProps): VNode {
  const fires = text.at(token);
  return (
    <section class="held-token" aria-label="What fires on the held token">
      <header>
        <About text={text} texts={texts} token={token} />
        <button type="button" class="icon" aria-label="Let the token go" title="Let the token go (Esc)" onClick={close}>
          ×
        </button>
      </header>
      <p class="quiet">
        {fires.length > 0 && `${plural(fires.length, "feature")}. `}
        {firingWords(text, token, fires, 0)}
      </p>
      <ol>
        {fires.map(({ feature, act, share, top }, n) => {
          const k = pinned.indexOf(feature);
          return (
            <li key={feature} class={feature === current ? "current" : ""}>
              <button type="button" class="pin" aria-pressed={k >= 0} aria-label={`Colour the text by feature ${feature}`} title={`Colour the text by it${n < 9 ? ` (${n + 1})` : ""}`} onClick={() => pin(feature)}>
                {k >= 0 ? <Swatch k={k} /> : <i class="swatch" />}
              </button>
              <a
                href={href(feature)}
                aria-current={feature === current ? "true" : undefined}
                onClick={(event) => {
                  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                  event.preventDefault();
                  open(feature);
                }}
              >
                {feature}
              </a>
              <span class="top">
                <Chip list={texts.runs(top)} />
              </span>
              <span class="number">{number(act)}</span>
              <span class="number share" style={{ "--share": `${100 * share}%` }}>
                {percent(share)}
              </span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}
