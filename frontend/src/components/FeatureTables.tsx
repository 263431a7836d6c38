// Neurons and features that go with the feature.
import type { ComponentChildren, VNode } from "preact";
import { percent, signed } from "../data/format";
import { Meaning } from "../marks/Meaning";
import type { AlignmentTable, CorrelationTable, NeighbourTable, OtherDictionary } from "../data/contract";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function FeatureTables({ card, options, ...links }: ComponentProps): VNode {
  const { view } = card;
  return (
    <>
      {options["neuron_alignment_table"] === true && <Alignment table={view.neuron_alignment} />}
      {options["correlated_neurons_table"] === true && (
        <Correlation title="Correlated neurons" noun="Neuron" table={view.correlated_neurons} />
      )}
      {options["correlated_features_table"] === true && (
        <Correlation
          title="Correlated features"
          noun="Feature"
          table={view.correlated_features}
          link={(other) => <FeatureLink feature={other} links={links} />}
        />
      )}
      {options["decoder_neighbours_table"] === true && <Neighbours table={view.decoder_neighbours} links={links} />}
      {options["correlated_b_features_table"] === true && (
        <CorrelatedB feature={view.feature} table={view.correlated_b_features} b={card.head.meta.b} />
      )}
    </>
  );
}

/** Features of a second dictionary, linked to its own page, or to the page that compares both. */
function CorrelatedB({ feature, table, b }: { feature: number; table: CorrelationTable | null; b: OtherDictionary | null }): VNode {
  const compared = (other?: number): string => `${b?.compare ?? ""}#a=${feature}${other === undefined ? "" : `&b=${other}`}`;
  const href = (other: number): string | null =>
    b === null || (b.page === null && b.compare === null) ? null : b.page === null ? compared(other) : `${b.page}#f=${other}`;
  return (
    <Correlation
      title="Correlated B features"
      missing="correlated B features (no second SAE was given)"
      noun="B feature"
      table={table}
      link={(other) => {
        const to = href(other);
        return to === null ? null : (
          <a href={to} aria-label={`B feature ${other}`}>
            {other}
          </a>
        );
      }}
    >
      {b !== null && (
        <p class="quiet">
          B: {b.sae}, at {b.hook}.{" "}
          {b.compare !== null && <a href={compared()}>Compare side by side</a>}
        </p>
      )}
    </Correlation>
  );
}

function Alignment({ table }: { table: AlignmentTable | null }): VNode {
  return (
    <section>
      <h3>
        <Meaning of="neuron alignment">Neuron alignment</Meaning>
      </h3>
      {table === null ? (
        <NotComputed what="neuron alignment" />
      ) : (
        <table class="numbers">
          <thead>
            <tr>
              <th>Neuron</th>
              <th>Weight</th>
              <th title="Share of the L1 norm of the feature's direction">% of L1</th>
            </tr>
          </thead>
          <tbody>
            {Array.from(table.index, (index, i) => (
              <tr key={i}>
                <td>{index}</td>
                <td>{signed(table.value[i] ?? NaN)}</td>
                <td>{percent(table.share[i] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

type Links = Pick<ComponentProps, "go" | "has" | "href">;

interface CorrelationProps {
  readonly title: string;
  readonly noun: string;
  readonly table: CorrelationTable | null;
  /** What is said to be not computed where there is no table; the title, if it needs no explaining. */
  readonly missing?: string;
  /** What a number leads to; null: nowhere. */
  readonly link?: (index: number) => VNode | null;
  readonly children?: ComponentChildren;
}

function Correlation({ title, noun, table, missing, link, children }: CorrelationProps): VNode {
  return (
    <section>
      <h3>{title}</h3>
      {children}
      {table === null ? (
        <NotComputed what={missing ?? title.toLowerCase()} />
      ) : table.index.length === 0 ? (
        <p class="quiet">None.</p>
      ) : (
        <table class="numbers">
          <thead>
            <tr>
              <th>{noun}</th>
              <th>
                <Meaning of="pearson">Pearson</Meaning>
              </th>
              <th>
                <Meaning of="cosine">Cosine</Meaning>
              </th>
            </tr>
          </thead>
          <tbody>
            {Array.from(table.index, (index, i) => (
              <tr key={i}>
                <td>{link?.(index) ?? index}</td>
                <td>{signed(table.pearson[i] ?? NaN)}</td>
                <td>{signed(table.cosine[i] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Neighbours({ table, links }: { table: NeighbourTable | null; links: Links }): VNode {
  return (
    <section>
      <h3>
        <Meaning of="decoder neighbours">Decoder neighbours</Meaning>
      </h3>
      {table === null ? (
        <NotComputed what="decoder neighbours (the page was made without the SAE)" />
      ) : (
        <table class="numbers">
          <thead>
            <tr>
              <th>Feature</th>
              <th title="Cosine of the two features' decoder directions">Cosine</th>
            </tr>
          </thead>
          <tbody>
            {Array.from(table.index, (index, i) => (
              <tr key={i}>
                <td>
                  <FeatureLink feature={index} links={links} />
                </td>
                <td>{signed(table.cosine[i] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** A click opens the feature without following the address, which a page in a notebook's cell does not have. One that is not on the page says so. */
function FeatureLink({ feature, links }: { feature: number; links: Links }): VNode {
  const open = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    links.go(feature);
  };
  if (!links.has(feature)) return <span title={`Feature ${feature} is not on this page`}>{feature}</span>;
  return (
    <a href={links.href(feature)} aria-label={`Feature ${feature}`} onClick={open}>
      {feature}
    </a>
  );
}
