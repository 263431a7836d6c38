// The output tokens that the feature pushes down most and up most.
import type { VNode } from "preact";
import { signed } from "../data/format";
import { Meaning } from "../marks/Meaning";
import { Chip } from "../marks/TokenText";
import { point, type Card, type TokenAt } from "../state/card";
import type { LogitTable } from "../data/contract";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function LogitsTable({ card }: ComponentProps): VNode {
  const table = card.view.logits_table;
  if (table === null) {
    return (
      <section>
        <h3>Logits</h3>
        <NotComputed what="logit table (no model, or none asked for)" />
      </section>
    );
  }
  return <LogitHalves card={card} table={table} />;
}

/** Pushed down and pushed up, beside each other. */
export function LogitHalves({ card, table }: { readonly card: Card; readonly table: LogitTable }): VNode {
  const most = Math.max(...table.top_values.map(Math.abs), ...table.bottom_values.map(Math.abs), 1e-30);
  return (
    <section class="pair">
      <Half title="Pushed down" tone="down" card={card} tokens={table.bottom_tokens} values={table.bottom_values} most={most} />
      <Half title="Pushed up" tone="up" card={card} tokens={table.top_tokens} values={table.top_values} most={most} />
    </section>
  );
}

interface HalfProps {
  readonly title: string;
  readonly tone: "up" | "down";
  readonly card: Card;
  readonly tokens: Int32Array;
  readonly values: Float32Array;
  readonly most: number;
}

function Half({ title, tone, card, tokens, values, most }: HalfProps): VNode {
  return (
    <table class={`logits ${tone}`}>
      <caption>
        <h3>
          <Meaning of="logit effect">{title}</Meaning>
        </h3>
      </caption>
      <thead class="unseen">
        <tr>
          <th>Token</th>
          <th>Logit effect</th>
        </tr>
      </thead>
      <tbody onPointerOver={(event) => point(card, tokenOf(event.target, tokens, values))} onPointerLeave={() => point(card, null)}>
        {Array.from(tokens, (id, i) => {
          const value = values[i] ?? NaN;
          return (
            <tr key={i} data-row={i}>
              <td title={`id ${id}`}>
                <Chip list={card.texts.runs(id)} />
              </td>
              <td style={{ "--share": `${(100 * Math.abs(value)) / most}%` }}>{signed(value)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** The token of the row that the pointer is on: it gets its line in the logit histogram. */
function tokenOf(target: EventTarget | null, tokens: Int32Array, values: Float32Array): TokenAt | null {
  const row = target instanceof Element ? target.closest<HTMLElement>("[data-row]") : null;
  const id = tokens[Number(row?.dataset["row"])];
  const logit = values[Number(row?.dataset["row"])];
  if (id === undefined || logit === undefined) return null;
  return { id, act: NaN, logit, effect: null, sequence: -1, position: -1, labels: [] };
}
