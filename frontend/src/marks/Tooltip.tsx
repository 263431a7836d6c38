// The page's tooltips: one for what the pointer or the keyboard is on, one for the pinned token. They never take the
// pointer, so they can't get in its way; they keep off each other and off both tokens.
import { Fragment, type VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { pin, tip, type Card, type Change, type Effect, type TokenAt } from "../state/card";
import { number, percent, signed } from "../data/format";
import { useSignal } from "../state/signal";
import { treeOf } from "../state/tree";
import type { TokenTexts } from "../data/tokens";
import { place, type Box } from "./place";
import { AttentionLines, SourceLines } from "./SourceDetails";
import { Chip } from "./TokenText";

export const TIP_ID = "tip";
export const PIN_ID = "pin";

export interface TooltipProps {
  readonly below: boolean;
  /** Whether several cards are on the page, so that a tooltip must say which one it is about. */
  readonly several: boolean;
}

export function Tooltips({ below, several }: TooltipProps): VNode {
  const [shown, pinned] = [useSignal(tip), useSignal(pin)];
  const tipBox = useRef<HTMLDivElement>(null);
  const pinBox = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if ((shown === null && pinned === null) || tipBox.current === null) return undefined;
    const tree = treeOf(tipBox.current);
    const arrange = (): void => {
      const at = shown === null ? null : shown.kind === "token" ? shown.near.getBoundingClientRect() : shown.box;
      const held = pinned?.near.getBoundingClientRect() ?? null;
      const spare = Array.from(tree.querySelectorAll(".chart svg"), (chart) => chart.getBoundingClientRect());
      let taken: Box[] = [at, held].filter((box) => box !== null);
      if (held !== null && pinBox.current !== null) taken = [...taken, place(pinBox.current, held, taken, below, spare)];
      if (at !== null && tipBox.current !== null) place(tipBox.current, at, taken, below, shown?.kind === "token" ? spare : []);
    };
    arrange();
    window.addEventListener("scroll", arrange, { capture: true, passive: true });
    window.addEventListener("resize", arrange);
    return () => {
      window.removeEventListener("scroll", arrange, { capture: true });
      window.removeEventListener("resize", arrange);
    };
  }, [shown, pinned, below]);
  return (
    <>
      <div id={PIN_ID} ref={pinBox} class="tip pinned" role="status" hidden={pinned === null}>
        {pinned !== null && <p class="which">Pinned{several && ` · feature ${pinned.card.view.feature}`}</p>}
        {pinned !== null && <Details token={pinned.token} card={pinned.card} />}
      </div>
      <div id={TIP_ID} ref={tipBox} class="tip" role="tooltip" hidden={shown === null}>
        {shown?.kind === "token" && several && <p class="which">Feature {shown.card.view.feature}</p>}
        {shown?.kind === "token" && <Details token={shown.token} card={shown.card} />}
        {shown?.kind === "lines" && shown.lines.map((line) => <div key={line}>{line}</div>)}
      </div>
    </>
  );
}

function Details({ token, card }: { token: TokenAt; card: Card }): VNode {
  const { texts } = card;
  return (
    <dl>
      <dt>Token</dt>
      <dd>
        <Chip list={texts.runs(token.id)} /> <span class="quiet">id {token.id}</span>
      </dd>
      <dt>Place</dt>
      <dd>
        sequence {token.sequence}, position {token.position}
      </dd>
      {card.head.labellings.map(({ name, labels }, i) => {
        const label = labels[token.labels[i] ?? -1];
        return label === undefined ? null : (
          <Fragment key={name}>
            <dt>{name}</dt>
            <dd dir="auto">{label}</dd>
          </Fragment>
        );
      })}
      {token.source === undefined ? <Measured token={token} texts={texts} /> : <SourceLines part={token.source} />}
    </dl>
  );
}

/** What is known of a token in its own place. */
function Measured({ token, texts }: { token: TokenAt; texts: TokenTexts }): VNode {
  return (
    <>
      <dt>Activation</dt>
      <dd>{activation(token.act)}</dd>
      <dt>Logit effect, logit lens</dt>
      <dd>{token.logit === null ? <NotKnown /> : signed(token.logit)}</dd>
      {token.effect === null ? (
        <>
          <dt>Loss effect, probabilities</dt>
          <dd>
            <NotKnown />
          </dd>
        </>
      ) : (
        <EffectLines effect={token.effect} texts={texts} />
      )}
      {token.attention && <AttentionLines attention={token.attention} act={token.act} />}
    </>
  );
}

function NotKnown(): VNode {
  return <span class="quiet">not computed</span>;
}

function activation(act: number): string | VNode {
  if (Number.isNaN(act)) return <span class="quiet">masked: in no statistic</span>;
  return act === 0 ? <span class="quiet">0, does not fire</span> : <b>{number(act)}</b>;
}

function EffectLines({ effect, texts }: { effect: Effect; texts: TokenTexts }): VNode {
  return (
    <>
      <dt>
        Loss effect, {effect.kind}
        {effect.against === "reference" && ", against the reference"}
      </dt>
      <dd>{lossEffect(effect.loss)}</dd>
      {effect.against === "next" && (
        <>
          <dt>
            Next token <Chip list={texts.runs(effect.next)} />
          </dt>
          <dd>
            {probability(effect.probWith)} with, {probability(effect.probWithout)} without
          </dd>
        </>
      )}
      {effect.up.length + effect.down.length === 0 ? (
        <>
          <dt>Tokens changed most</dt>
          <dd>
            <NotKnown />
          </dd>
        </>
      ) : (
        <dd class="changes">
          <Changes title="Raised most" changes={effect.up} texts={texts} />
          <Changes title="Lowered most" changes={effect.down} texts={texts} />
          <p class="quiet">Change of log-probability with the feature, in nats</p>
        </dd>
      )}
    </>
  );
}

function lossEffect(loss: number): string | VNode {
  if (Number.isNaN(loss)) return <NotKnown />;
  return `${signed(loss)} nats${loss === 0 ? "" : loss < 0 ? " (helps)" : " (harms)"}`;
}

function probability(share: number): string | VNode {
  return Number.isNaN(share) ? <NotKnown /> : percent(share);
}

function Changes({ title, changes, texts }: { title: string; changes: readonly Change[]; texts: TokenTexts }): VNode {
  return (
    <table>
      <caption>{title}</caption>
      <tbody>
        {changes.map(({ id, value }, i) => (
          <tr key={i}>
            <td>
              <Chip list={texts.runs(id)} />
            </td>
            <td>{signed(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
