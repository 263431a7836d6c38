// The tokens that the feature fires on most; each leads to an example of it, where the card has one.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { TopTokens as Table } from "../data/contract";
import { count, percent, plural } from "../data/format";
import { Chip } from "../marks/TokenText";
import { fires, type Card } from "../state/card";
import { NotComputed } from "./Messages";
import { goToToken } from "./pointing";
import type { ComponentProps } from "./types";

export function TopTokens({ card }: ComponentProps): VNode {
  const table = card.view.top_tokens;
  return (
    <section>
      <header class="titled">
        <h3>Top tokens</h3>
        {table !== null && !card.dead && <span class="quiet">of {plural(table.n_distinct, "different token")}</span>}
      </header>
      {table === null ? (
        <NotComputed what="tokens that it fires on most (the index was built without them)" />
      ) : card.dead ? (
        <p class="quiet">No firings to count.</p>
      ) : (
        <Rows card={card} table={table} />
      )}
    </section>
  );
}

function Rows({ card, table }: { readonly card: Card; readonly table: Table }): VNode {
  const shown = useMemo(() => firingTokens(card), [card]);
  const most = Math.max(...table.n_firings);
  const light = (id: number | null): void => card.range.set(id === null ? null : { of: "id", low: id, high: id, closed: true });
  return (
    <table class="top-tokens">
      <thead>
        <tr>
          <th scope="col">Token</th>
          <th scope="col" title="Firings on this token, and their share of all firings of the feature">
            Firings
          </th>
          <th scope="col" title="Share of this token in the sum of the sizes of all activations of the feature">
            Mass
          </th>
        </tr>
      </thead>
      <tbody onPointerLeave={() => light(null)} onFocusOut={() => light(null)}>
        {Array.from(table.tokens, (id, i) => {
          const n = table.n_firings[i] ?? 0;
          return (
            <tr key={id} onPointerEnter={() => light(id)} onFocusIn={() => light(id)}>
              <td title={`id ${id}`}>
                <Token card={card} id={id} shown={shown.has(id)} />
              </td>
              <td title={`${percent(n / card.view.stats.n_firings)} of its firings`} style={{ "--share": `${(100 * n) / most}%` }}>
                {count(n)}
              </td>
              <td>{percent(table.mass_share[i] ?? NaN)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** A token, as a way to the first example in which the feature fires on it. */
function Token({ card, id, shown }: { readonly card: Card; readonly id: number; readonly shown: boolean }): VNode {
  const chip = <Chip list={card.texts.runs(id)} />;
  if (!shown) return <span title={`id ${id}; in none of the examples shown`}>{chip}</span>;
  return (
    <button type="button" class="plain" title={`id ${id}; to its first example`} onClick={(event) => goToToken(event.currentTarget, card, id)}>
      {chip}
    </button>
  );
}

/** Ids of the tokens on which the feature fires in the card's examples. */
function firingTokens({ view }: Card): ReadonlySet<number> {
  const found = new Set<number>();
  for (const { contexts } of view.sequences) {
    contexts.tokens.forEach((id, i) => {
      if (fires(contexts.acts[i] ?? 0)) found.add(id);
    });
  }
  return found;
}
