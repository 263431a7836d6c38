// A text of the user's own: the open feature's activation on each of its tokens, as it is typed.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { TriedText } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { number, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { shadeTokens, tokenNodes } from "../../marks/prompt/tokens";
import { useAsked } from "../../state/explorer/asked";

/** Milliseconds after the last key until the model runs. */
const PAUSE = 150;

export interface TryTextProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly feature: number;
  /** Largest size of the feature's activations in the index. */
  readonly scale: number;
  readonly text: string;
  readonly setText: (text: string) => void;
}

export function TryText({ source, texts, feature, scale, text, setText }: TryTextProps): VNode {
  const ask = text === "" ? null : (signal: AbortSignal): Promise<TriedText> => source.tried(text, signal);
  const { found: tried, failed } = useAsked({ ask, pause: PAUSE, clear: "when asked nothing" }, [source, text]);
  return (
    <section class="try-text" aria-label={`Try a text on feature ${feature}`}>
      <label>
        <span>Try a text</span>
        <textarea rows={2} value={text} placeholder="Type or paste: the feature's activation on every token" onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {failed !== null && (
        <p class="message failed" role="alert">
          {failed}
        </p>
      )}
      {tried !== null && <Tokens tried={tried} texts={texts} feature={feature} scale={scale} />}
    </section>
  );
}

interface TokensProps {
  readonly tried: TriedText;
  readonly texts: TokenTexts;
  readonly feature: number;
  readonly scale: number;
}

function Tokens({ tried, texts, feature, scale }: TokensProps): VNode {
  const root = useRef<HTMLDivElement>(null);
  const acts = actsOf(tried, feature);
  const firing = Array.from(acts.keys()).filter((i) => acts[i] !== 0);
  const largest = firing.reduce((best, i) => (Math.abs(acts[i] ?? 0) > Math.abs(acts[best] ?? 0) ? i : best), firing[0] ?? -1);
  useLayoutEffect(() => {
    const nodes = tokenNodes(texts.pieces(tried.tokens), (position) => {
      const made = document.createElement("span");
      made.className = tried.masked[position] === 1 ? "tok masked" : "tok";
      made.dataset["t"] = String(position);
      return made;
    });
    root.current?.replaceChildren(...nodes);
  }, [tried, texts]);
  useLayoutEffect(() => {
    if (root.current === null) return;
    shadeTokens(root.current, (position) => {
      const act = acts[position] ?? 0;
      return act === 0 ? null : { tone: act > 0 ? "plain" : "toward", share: Math.abs(act) / scale };
    });
    for (const token of root.current.querySelectorAll<HTMLElement>("[data-t]")) {
      const act = acts[Number(token.dataset["t"])] ?? 0;
      token.title = act === 0 ? "" : number(act);
    }
  });
  return (
    <>
      <div ref={root} class="prompt-text" dir={texts.direction(tried.tokens)} />
      <p class="quiet" role="status">
        {firing.length === 0
          ? `Feature ${feature} fires on none of these ${plural(tried.tokens.length, "token")}.`
          : `Feature ${feature} fires on ${firing.length} of ${plural(tried.tokens.length, "token")}, at most ${number(acts[largest] ?? 0)} (${number((100 * Math.abs(acts[largest] ?? 0)) / scale)}% of its largest activation) on “${texts.plain(tried.tokens[largest] ?? -1)}”.`}
      </p>
    </>
  );
}

/** One feature's activation at every token. */
function actsOf({ tokens, offsets, features, acts }: TriedText, feature: number): Float32Array {
  const out = new Float32Array(tokens.length);
  for (let i = 0; i < tokens.length; i++) {
    for (let at = offsets[i] ?? 0; at < (offsets[i + 1] ?? 0); at++) if (features[at] === feature) out[i] = acts[at] ?? 0;
  }
  return out;
}
