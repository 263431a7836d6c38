// The prompt, coloured by the activation of the card's feature on the scale of the card's other texts.
import type { VNode } from "preact";
import { useCallback, useContext } from "preact/hooks";
import { number } from "../data/format";
import type { Side } from "../state/sides";
import { activations } from "../marks/prompt/colours";
import { SideMark } from "../marks/SideMark";
import { PromptText } from "../marks/prompt/PromptText";
import { PromptContext, type PromptState } from "../state/prompt/state";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

export function Prompt({ card }: ComponentProps): VNode {
  const state = useContext(PromptContext);
  if (state === null) return <NotComputed what="the prompt (this page has none)" />;
  const { prompts } = state;
  const row = prompts.rowOf.get(card.view.feature);
  const most = row === undefined ? 0 : Math.max(...prompts.sides.map((_, side) => strongest(prompts.acts(side, row))));
  return (
    <section class="own-prompt">
      <header class="titled">
        <h3>{prompts.two ? "On these prompts" : "On this prompt"}</h3>
        <span class="quiet">{row === undefined ? "does not fire" : `at most ${number(most)}`}</span>
      </header>
      {prompts.sides.map((_, i) => (
        <Coloured key={i} state={state} side={i === 1 ? 1 : 0} feature={card.view.feature} row={row ?? null} scale={card.scale} />
      ))}
    </section>
  );
}

function strongest(line: Float32Array): number {
  return line.reduce((most, act) => Math.max(most, Math.abs(act)), 0);
}

interface ColouredProps {
  readonly state: PromptState;
  readonly side: Side;
  readonly feature: number;
  readonly row: number | null;
  readonly scale: number;
}

function Coloured({ state, side, feature, row, scale }: ColouredProps): VNode {
  const { prompts, move } = state;
  const colours = useCallback(
    () => (row === null ? { shade: () => null, most: scale } : activations(state, side, row, scale)),
    [prompts, side, row, scale],
  );
  const hold = (position: number, event: PointerEvent): void => {
    if (event.type === "click") move({ feature, held: { side, position } });
  };
  return (
    <div class="own-text">
      {prompts.two && <SideMark side={side} />}
      <PromptText side={side} colours={colours} row={row} choose={hold} />
    </div>
  );
}
