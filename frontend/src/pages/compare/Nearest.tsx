// The features of B that go with the feature of A, each in numbers; the chosen one is shown beside it.
import type { VNode } from "preact";
import { SideMark } from "../../marks/SideMark";
import { count, percent, plural, signed } from "../../data/format";
import type { Compared } from "../../data/contract";
import { useCompare } from "../../state/compare/state";

export function Nearest({ compared }: { compared: Compared }): VNode {
  const { table, feature } = compared;
  const { head, comparison, row, move, href } = useCompare();
  const { matches_a, matches_b } = comparison.overview;
  const density = matches_a.features.density[feature] ?? 0;
  return (
    <section class="nearest" aria-labelledby="nearest-title">
      <header class="titled">
        <h2 id="nearest-title">
          Nearest in <SideMark side={1} /> to feature {feature} of <SideMark side={0} />
        </h2>
        <span class="quiet">by Pearson correlation over all {count(head.meta.n_tokens)} unmasked tokens</span>
      </header>
      {table.index.length === 0 ? (
        <p class="message">
          {density === 0
            ? `Feature ${feature} of A is dead on this text: it fires on no token.`
            : `No feature of B correlates positively with feature ${feature} of A: it is new in A, or lost from B.`}
        </p>
      ) : (
        <div class="scroll-x">
          <table class="numbers pairs">
            <thead>
              <tr>
                <th>B feature</th>
                <th title="Pearson correlation over all unmasked tokens">Pearson</th>
                <th title="Cosine similarity of activations over all unmasked tokens">Cosine</th>
                <th title="Cosine of the two decoder directions">Decoder cosine</th>
                <th title="Share of the A feature's firings on which the B feature fires">of A’s firings</th>
                <th title="Share of the B feature's firings on which the A feature fires">of B’s firings</th>
                <th title="Tokens on which both fire">Both fire on</th>
                <th title="The A feature that correlates most with this B feature, and its Pearson correlation">its best match in A</th>
              </tr>
            </thead>
            <tbody>
              {Array.from(table.index, (other, i) => (
                <tr key={other} class={i === row ? "chosen" : ""} onClick={() => move({ b: other })}>
                  <td>
                    <a
                      href={href({ b: other })}
                      aria-current={i === row}
                      aria-label={`B feature ${other}`}
                      onClick={(event) => {
                        if (event.ctrlKey || event.metaKey || event.shiftKey) event.stopPropagation();
                        else event.preventDefault();
                      }}
                    >
                      {other}
                    </a>
                  </td>
                  <td>{signed(table.pearson[i] ?? NaN)}</td>
                  <td>{signed(table.cosine[i] ?? NaN)}</td>
                  <td>{table.decoder === null ? <span class="quiet">not computed</span> : signed(table.decoder[i] ?? NaN)}</td>
                  <td class="bar-cell in-a" style={{ "--share": `${100 * (table.share_a[i] ?? 0)}%` }}>
                    {percent(table.share_a[i] ?? NaN)}
                  </td>
                  <td class="bar-cell in-b" style={{ "--share": `${100 * (table.share_b[i] ?? 0)}%` }}>
                    {percent(table.share_b[i] ?? NaN)}
                  </td>
                  <td>{plural(table.together[i] ?? 0, "token")}</td>
                  <td>
                    {matches_b.best[other] === feature ? "this feature" : matches_b.best[other]}{" "}
                    <span class="quiet">{signed(matches_b.pearson[other] ?? NaN)}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
