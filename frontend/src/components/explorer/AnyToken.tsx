// The open feature's logit effect on any token, found by a part of its text.
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import type { TokenLogits } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import { count, plural, signed } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { Chip } from "../../marks/TokenText";
import { useAsked } from "../../state/explorer/asked";

const PAUSE = 150;

export interface AnyTokenProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly feature: number;
}

export function AnyToken({ source, texts, feature }: AnyTokenProps): VNode {
  const [words, setWords] = useState("");
  const ask = words === "" ? null : (signal: AbortSignal): Promise<TokenLogits> => source.logits(feature, words, signal);
  const { found, failed } = useAsked({ ask, pause: PAUSE, clear: "at once" }, [source, feature, words]);
  return (
    <section class="any-token" aria-label={`Logit effects of feature ${feature} on any token`}>
      <label>
        <span>Effect on any token</span>
        <input type="search" value={words} placeholder="A token, or a part of it" onInput={(event) => setWords(event.currentTarget.value)} />
      </label>
      {failed !== null && (
        <p class="message failed" role="alert">
          {failed}
        </p>
      )}
      {found !== null && (
        <p class="quiet" role="status">
          {found.n_found === 0 ? "No token holds that." : `${plural(found.n_found, "token")}${found.n_found > found.tokens.length ? `, the first ${found.tokens.length}` : ""}; rank among ${count(found.n_vocab)}.`}
        </p>
      )}
      {found !== null && found.n_found > 0 && (
        <ul>
          {Array.from(found.tokens, (token, i) => (
            <li key={token}>
              <Chip list={texts.runs(token)} /> <b class={(found.effects[i] ?? 0) < 0 ? "down" : "up"}>{signed(found.effects[i] ?? NaN)}</b> <span class="quiet">#{count((found.ranks[i] ?? 0) + 1)}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
