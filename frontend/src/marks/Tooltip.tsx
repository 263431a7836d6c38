// The page's one tooltip. It never takes the pointer, so it can't get in its own way.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { tip, type Tip, type TokenAt } from "../card";
import { number, signed } from "../format";
import { useSignal } from "../signal";
import type { TokenTexts } from "../tokens";
import { Chip } from "./TokenText";

export const TIP_ID = "tip";
const GAP = 8;

export function Tooltip({ texts, below }: { texts: TokenTexts; below: boolean }): VNode {
  const shown = useSignal(tip);
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (shown !== null && box.current !== null) place(box.current, anchor(shown), below);
  }, [shown, below]);
  return (
    <div id={TIP_ID} ref={box} class={`tip ${shown?.kind === "token" && shown.pinned ? "pinned" : ""}`} role="tooltip" hidden={shown === null}>
      {shown?.kind === "token" && <TokenLines token={shown.token} texts={texts} />}
      {shown?.kind === "lines" && shown.lines.map((line) => <div key={line}>{line}</div>)}
    </div>
  );
}

function TokenLines({ token, texts }: { token: TokenAt; texts: TokenTexts }): VNode {
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
      <dt>Activation</dt>
      <dd>{activation(token.act)}</dd>
      <dt>Logit effect</dt>
      <dd>{token.logit === null ? <span class="quiet">not computed</span> : signed(token.logit)}</dd>
      <dt>Loss effect</dt>
      <dd>{lossEffect(token.effect?.loss ?? null)}</dd>
    </dl>
  );
}

function activation(act: number): string | VNode {
  if (Number.isNaN(act)) return <span class="quiet">masked: in no statistic</span>;
  return act === 0 ? <span class="quiet">0, does not fire</span> : <b>{number(act)}</b>;
}

function lossEffect(loss: number | null): string | VNode {
  if (loss === null || Number.isNaN(loss)) return <span class="quiet">not computed</span>;
  return `${signed(loss)} nats${loss === 0 ? "" : loss < 0 ? " (helps)" : " (harms)"}`;
}

function anchor(shown: Tip): DOMRect {
  return shown.kind === "token" ? shown.near.getBoundingClientRect() : shown.box;
}

/** Beside the anchor, inside the window; on the other side where there is no room. */
function place(box: HTMLElement, at: DOMRect, below: boolean): void {
  const { offsetWidth: width, offsetHeight: height } = box;
  const under = at.bottom + GAP;
  const over = at.top - GAP - height;
  const fitsUnder = under + height <= window.innerHeight;
  const top = below ? (fitsUnder || over < 0 ? under : over) : over >= 0 || !fitsUnder ? over : under;
  const left = Math.min(Math.max(at.left + at.width / 2 - width / 2, GAP), window.innerWidth - width - GAP);
  box.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(top, GAP))}px)`;
}
