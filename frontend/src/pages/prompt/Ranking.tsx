// The features that matter most at the chosen tokens, each with its value and where in the prompt it fires.
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, percent, plural } from "../../data/format";
import { Chip } from "../../marks/TokenText";
import { SideMark } from "../../marks/SideMark";
import { isFull } from "../../state/prompt/pairs";
import { SIDE_NAMES } from "../../state/sides";
import { NothingFollows } from "./Expects";
import { Sparkline } from "./Sparkline";
import { single, usePointed, usePrompt, type PromptState } from "../../state/prompt/state";
import { AGGREGATE_WORDS, differenceTone, extent, spanWords, toneOf, unmeasuredWords, valueWords } from "../../marks/prompt/words";

export function Ranking(): VNode {
  const state = usePrompt();
  const { listed, prompts, address, texts, ranking, measure } = state;
  return (
    <section class="ranking" aria-labelledby="ranking-title">
      <header class="titled">
        <h2 id="ranking-title">
          {listed.length > 0 ? plural(listed.length, "feature") : "Features"} {single(address.span) ? "at" : "over"}{" "}
          {spanWords(address.span, prompts, texts)}
        </h2>
        <Summary />
      </header>
      <NothingFollows />
      {listed.length === 0 ? <Empty /> : <List />}
      {listed.length > 0 && ranking.n_measured < ranking.n_pairs && (
        <p class="quiet note">{unmeasuredWords(measure, ranking.n_pairs, ranking.n_measured)}</p>
      )}
    </section>
  );
}

/** How many fire, and how many of them the density filter leaves out; those that it leaves out unasked come back by one click. */
function Summary(): VNode {
  const { ranking, listed, address, most, move } = usePrompt();
  const out = ranking.n_firing - ranking.n_kept;
  const unasked = out > 0 && address.max === null && most < 100;
  return (
    <span class="quiet">
      {listed.length > 0 ? "of " : ""}
      {count(ranking.n_firing)} that fire{out > 0 && `, ${count(out)} left out by their density`}
      {unasked && (
        <>
          {" "}
          <button type="button" class="them-too" title={`They fire on more than ${most}% of the corpus`} onClick={() => move({ max: 100 })}>
            rank them, too
          </button>
        </>
      )}
    </span>
  );
}

/** Three reasons for an empty ranking, each in its own words. */
function Empty(): VNode {
  const { ranking, address, measure, most } = usePrompt();
  const { n_firing, n_kept } = ranking;
  const here = single(address.span) ? "at this token" : address.span === null ? "on this prompt" : "at these tokens";
  const why = n_firing === 0 ? "silent" : n_kept === 0 ? "filtered" : "unmeasured";
  const words = {
    silent: `No feature fires ${here}.`,
    filtered: `The density filter leaves none: the densities of all ${plural(n_firing, "feature")} that fire ${here} are outside ${address.min}% to ${most}%.`,
    unmeasured: isFull(measure.metric) ? `Full effects are not measured yet ${here}: measure them first, or rank by another metric.` : `${measure.metric.title} was not computed ${here}.`,
  }[why];
  return (
    <p class="message" role="status" data-message={why}>
      {words}
    </p>
  );
}

function List(): VNode {
  const state = usePrompt();
  const { prompts, listed, measure, pointer, by, ranking } = state;
  const most = useMemo(() => Math.max(...Array.from(listed, (_, i) => size(state, ranking.values[i] ?? 0))) || 1, [ranking, listed]);
  const head = by === "count" ? "Firings" : measure.metric.title;
  return (
    <table class="ranks" onPointerLeave={() => pointer.set(null)}>
      <caption class="unseen">
        Features by {measure.metric.title}
        {single(state.address.span) ? "" : `, ${AGGREGATE_WORDS[by]}`}
      </caption>
      <thead>
        <tr>
          <th scope="col">
            <span class="unseen">Rank</span>
          </th>
          <th scope="col">Feature</th>
          <th scope="col">{prompts.two ? "A − B" : head}</th>
          {prompts.two && <th scope="col"><SideMark side={0} /></th>}
          {prompts.two && <th scope="col"><SideMark side={1} /></th>}
          <th scope="col">{prompts.two ? "Activation, A up, B down" : "Activation over the prompt"}</th>
          <th scope="col" title="The token of the corpus, not of this prompt, on which it fires most strongly">
            Strongest in corpus
          </th>
          <th scope="col" title="Share of the corpus's unmasked tokens on which it fires">
            Density
          </th>
        </tr>
      </thead>
      <tbody>
        {Array.from(listed, (row, i) => (
          <Row key={row} row={row} place={i} most={most} />
        ))}
      </tbody>
    </table>
  );
}

interface RowProps {
  readonly row: number;
  readonly place: number;
  /** The longest bar. */
  readonly most: number;
}

function Row({ row, place, most }: RowProps): VNode {
  const state = usePrompt();
  const { prompts, pointer, open, address } = state;
  const { feature, density, top_token } = prompts.part.firing;
  const id = feature[row] ?? -1;
  const pointed = usePointed(pointer, (at) => at.row === row);
  const point = (): void => pointer.set({ row });
  const choose = useChoose();
  const name = `${open.includes(id) ? "open" : ""} ${address.feature === id ? "locked" : ""} ${pointed ? "pointed" : ""}`;
  const top = top_token[row] ?? -1;
  return (
    <tr class={name} data-feature={id} onPointerEnter={point} onClick={() => choose(id)}>
      <td class="quiet">{place + 1}</td>
      <td>
        <button
          type="button"
          aria-pressed={address.feature === id}
          aria-label={`Feature ${id}, open its card`}
          onFocus={point}
          onBlur={() => pointer.set(null)}
        >
          {id}
        </button>
      </td>
      <Value place={place} most={most} />
      {prompts.two && <Sides row={row} />}
      <td class="over">
        <Sparkline row={row} />
      </td>
      <td class="top">{top < 0 ? <span class="quiet">none</span> : <Chip list={state.texts.runs(top)} />}</td>
      <td>{percent(density[row] ?? 0)}</td>
    </tr>
  );
}

/** Opens a feature's card and keeps the prompt coloured by it; again: lets go. */
export function useChoose(): (feature: number) => void {
  const { move, address } = usePrompt();
  return (feature) => move({ feature: address.feature === feature ? null : feature, held: null });
}

function size({ measure, by }: PromptState, value: number): number {
  return by === "count" ? Math.abs(value) : extent(measure, value);
}

function Value({ place, most }: { place: number; most: number }): VNode {
  const state = usePrompt();
  const { prompts, measure, ranking, by } = state;
  const value = ranking.values[place] ?? NaN;
  const tone = prompts.two ? differenceTone(value) : by === "count" ? "plain" : toneOf(measure, value);
  const counted = `${prompts.two && value > 0 ? "+" : ""}${count(value).replace("-", "−")}`;
  const words = by === "count" ? counted : valueWords(measure, value, prompts.two);
  return (
    <td class={`value ${tone}`} style={{ "--share": `${Math.min((100 * size(state, value)) / most, 100)}%` }}>
      {words}
    </td>
  );
}

/** The value in each prompt; where it fires in one only, that is said. */
function Sides({ row }: { row: number }): VNode {
  const { ranking, measure, by } = usePrompt();
  return (
    <>
      {ranking.totals.map(({ fired, value }, i) => {
        const other = ranking.totals[1 - i];
        const fires = (fired[row] ?? 0) > 0;
        const words = by === "count" ? count(value[row] ?? 0) : valueWords(measure, value[row] ?? NaN);
        return (
          <td key={i}>
            {fires ? words : <span class="quiet">–</span>}
            {fires && other?.fired[row] === 0 && <span class="only">only {SIDE_NAMES[i]}</span>}
          </td>
        );
      })}
    </>
  );
}
