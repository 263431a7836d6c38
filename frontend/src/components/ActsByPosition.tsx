// Where in its sequences the feature fires: the share of tokens at each position.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, number, percent } from "../data/format";
import { Bars, type BarWords } from "../marks/Bars";
import type { PositionProfile } from "../data/contract";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function ActsByPosition({ card }: ComponentProps): VNode {
  const profile = card.view.acts_by_position;
  return (
    <section>
      <header class="titled">
        <h3>By position</h3>
        <span class="quiet">share of tokens it fires on</span>
      </header>
      {card.dead ? (
        <p class="quiet">No firings to count.</p>
      ) : profile === null ? (
        <NotComputed what="activation by position" />
      ) : (
        <Chart card={card} profile={profile} />
      )}
    </section>
  );
}

function Chart({ card, profile }: Pick<ComponentProps, "card"> & { readonly profile: PositionProfile }): VNode {
  const shares = useMemo(() => Float32Array.from(profile.n_firings, (n, i) => n / Math.max(profile.n_tokens[i] ?? 0, 1)), [profile]);
  const n = shares.length * profile.width;
  const most = shares.indexOf(Math.max(...shares));
  return (
    <Bars
      name="positions"
      card={card}
      histogram={{ low: 0, high: n, counts: shares }}
      of="position"
      unit="share of tokens"
      words={wordsOf(profile, shares)}
      log={false}
      label={`Share of tokens on which the feature fires, by position in the sequence, 0 to ${n - 1}; largest at ${span(profile, most)}, ${percent(shares[most] ?? 0)}.`}
      stops={[
        { at: 0, colour: "var(--act)" },
        { at: 1, colour: "var(--act)" },
      ]}
      mark={(token) => (token.position < 0 ? null : token.position + 0.5)}
    />
  );
}

function span({ width }: PositionProfile, bin: number): string {
  const first = bin * width;
  return width === 1 ? `position ${first}` : `positions ${first} to ${first + width - 1}`;
}

function wordsOf(profile: PositionProfile, shares: Float32Array): BarWords {
  const { n_firings, n_tokens, mean } = profile;
  const average = (i: number): string => (Number.isNaN(mean[i]) ? "none" : number(mean[i] ?? NaN));
  return {
    heads: ["Positions", "Firings", "Unmasked tokens", "Share", "Mean activation"],
    cells: (i) => [
      span(profile, i).replace(/^positions? /, ""),
      count(n_firings[i] ?? 0),
      count(n_tokens[i] ?? 0),
      percent(shares[i] ?? 0),
      average(i),
    ],
    lines: (i) => [
      span(profile, i),
      `fires on ${percent(shares[i] ?? 0)} (${count(n_firings[i] ?? 0)} of ${count(n_tokens[i] ?? 0)} unmasked tokens)`,
      `mean activation ${average(i)}`,
    ],
    mark: (value) => `position ${Math.floor(value)}`,
    tick: (share) => `${Number((share * 100).toPrecision(3))}%`,
  };
}
