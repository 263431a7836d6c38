// Neurons and features that go with the feature.
import type { VNode } from "preact";
import { percent, signed } from "../format";
import type { AlignmentTable, CorrelationTable, NeighbourTable } from "../payload";
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
        <Correlation title="Correlated features" noun="Feature" table={view.correlated_features} links={links} />
      )}
      {options["decoder_neighbours_table"] === true && <Neighbours table={view.decoder_neighbours} links={links} />}
      {options["correlated_b_features_table"] === true && (
        <Correlation title="Correlated B features" noun="B feature" table={view.correlated_b_features} />
      )}
    </>
  );
}

function Alignment({ table }: { table: AlignmentTable | null }): VNode {
  return (
    <section>
      <h3>Neuron alignment</h3>
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
  readonly links?: Links;
}

function Correlation({ title, noun, table, links }: CorrelationProps): VNode {
  return (
    <section>
      <h3>{title}</h3>
      {table === null ? (
        <NotComputed what={title.toLowerCase()} />
      ) : table.index.length === 0 ? (
        <p class="quiet">None.</p>
      ) : (
        <table class="numbers">
          <thead>
            <tr>
              <th>{noun}</th>
              <th title="Pearson correlation over all unmasked tokens">Pearson</th>
              <th title="Cosine similarity over all unmasked tokens">Cosine</th>
            </tr>
          </thead>
          <tbody>
            {Array.from(table.index, (index, i) => (
              <tr key={i}>
                <td>{links?.has(index) ? <FeatureLink feature={index} links={links} /> : index}</td>
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
      <h3>Decoder neighbours</h3>
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
                <td>{links.has(index) ? <FeatureLink feature={index} links={links} /> : index}</td>
                <td>{signed(table.cosine[i] ?? NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function FeatureLink({ feature, links }: { feature: number; links: Links }): VNode {
  return (
    <a href={links.href(feature)} aria-label={`Feature ${feature}`}>
      {feature}
    </a>
  );
}
