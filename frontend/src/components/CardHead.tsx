// The top of a card: which feature, and how much it fires. Of several side by side, each has its own way to others.
import type { ComponentChildren, VNode } from "preact";
import { Meaning } from "../marks/Meaning";
import type { Card } from "../state/card";
import { number, percent, plural } from "../data/format";
import type { Panes } from "../state/panes";
import type { FeatureStats } from "../data/contract";
import type { Head } from "../data/source";
import { CopyMenu } from "./CopyMenu";
import { DeadFeature } from "./Messages";
import { Said } from "./Said";
import { Stepper } from "./Stepper";

export interface CardHeadProps {
  readonly feature: number;
  /** null: nothing to show of it, which the children say. */
  readonly card: Card | null;
  readonly head: Head;
  readonly place: number;
  readonly panes: Panes;
  /** Address of the feature, behind the page's. */
  readonly href: string;
  readonly children: ComponentChildren;
}

export function CardHead({ feature, card, head, place, panes, href, children }: CardHeadProps): VNode {
  const several = panes.features.length > 1;
  return (
    <header class="card-head">
      <h2 class={several ? "unseen" : ""}>
        Feature <b>{feature}</b>
      </h2>
      {several && (
        <nav class="picker" aria-label={`Feature ${feature}`}>
          <Stepper head={head} feature={feature} step={(by) => panes.step(place, by)} go={(to) => panes.go(place, to)} />
          <button type="button" class="icon close" aria-label={`Close feature ${feature}`} title="Close" onClick={() => panes.close(place)}>
            ×
          </button>
        </nav>
      )}
      {children}
      {card !== null && (card.dead ? <DeadFeature feature={feature} head={head} /> : <Stats stats={card.view.stats} signed={head.meta.signed} />)}
      {card !== null && <Said card={card} />}
      {card !== null && <CopyMenu card={card} href={href} />}
    </header>
  );
}

export function Stats({ stats, signed }: { stats: FeatureStats; signed: boolean }): VNode {
  return (
    <p class="stats">
      <span>
        <Meaning of="density">fires on</Meaning> <b>{percent(stats.density)}</b> of tokens
      </span>
      <span>
        <b>{plural(stats.n_firings, "time")}</b>
      </span>
      <span>
        <Meaning of="max">max</Meaning> <b>{number(stats.max)}</b>
      </span>
      {signed && (
        <span>
          min <b>{number(stats.min)}</b>
        </span>
      )}
      <span>
        <Meaning of="mean">mean</Meaning> <b>{number(stats.mean)}</b> ± {number(stats.std)}
      </span>
    </p>
  );
}
