// The prompt across the top of the page, or both: hover for details, click or drag to choose what is ranked over.
import type { VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Span } from "../../state/address";
import type { Side } from "../../state/sides";
import { Meaning } from "../../marks/Meaning";
import { colouring } from "../../marks/prompt/colours";
import { PromptText } from "../../marks/prompt/PromptText";
import { SideMark } from "../../marks/SideMark";
import { SIDE_NAMES } from "../../state/sides";
import { Expects } from "./Expects";
import { Scale } from "../../marks/prompt/Scale";
import { single, usePointed, usePrompt, type Pointed } from "../../state/prompt/state";
import { endsOf, valueWords } from "../../marks/prompt/words";

export function Strip(): VNode {
  const state = usePrompt();
  const { prompts } = state;
  return (
    <section class="strip" aria-label={prompts.two ? "Prompts" : "Prompt"}>
      {prompts.sides.map((_, i) => (
        <Text key={i} side={i === 1 ? 1 : 0} />
      ))}
      <StripLegend />
    </section>
  );
}

/** The feature that the prompt is coloured by: the one pointed at, or the one whose card was chosen. */
export function colouredRow(pointed: Pointed, feature: number | null, rowOf: ReadonlyMap<number, number>): number | null {
  return pointed.row ?? (feature === null ? null : (rowOf.get(feature) ?? null));
}

function Text({ side }: { side: Side }): VNode {
  const state = usePrompt();
  const { prompts, measure, order, kept, address, pointer } = state;
  const { view } = prompts.side(side);
  const box = useRef<HTMLDivElement>(null);
  const colours = useCallback(
    (pointed: Pointed) => colouring(state, colouredRow(pointed, address.feature, prompts.rowOf))[side] ?? { shade: () => null, most: 0 },
    [prompts, measure, order, kept, address.feature, side],
  );
  const choose = useChoice(side);
  const { span } = address;
  useLayoutEffect(() => {
    const list = box.current?.querySelector(".prompt-text");
    if (!list?.matches(":focus-visible") || span?.side !== side) return;
    const near = list.querySelector(`[data-t="${span.from}"]`)?.getBoundingClientRect() ?? null;
    pointer.set(single(span) ? { place: { side, position: span.from }, near } : null);
  }, [span, side, pointer]);
  const name = prompts.two ? view.title : "Tokens of the prompt";
  return (
    <div class="strip-text" ref={box}>
      {prompts.two && (
        <h2>
          <SideMark side={side} /> <span class="quiet">{view.title === `Prompt ${SIDE_NAMES[side]}` ? "" : view.title}</span>
        </h2>
      )}
      <PromptText
        side={side}
        colours={colours}
        row={null}
        choose={choose}
        list={{ label: `${name}. Arrow keys choose a token, with Shift a span.`, id: `t${side}` }}
      />
      <Expects side={side} />
    </div>
  );
}

/** Press and drag, or Shift and click, chooses a span; a plain click one token. */
function useChoice(side: Side): (position: number, event: PointerEvent) => void {
  const { move, address } = usePrompt();
  const from = useRef<number | null>(null);
  const span = useRef<Span | null>(null);
  span.current = address.span;
  return useCallback(
    (position, event) => {
      const now = span.current;
      if (event.type === "pointerdown") from.current = event.shiftKey && now?.side === side ? now.from : position;
      else if (event.type === "click" && event.shiftKey && now?.side === side) return;
      const start = event.type === "click" ? (from.current ?? position) : (from.current ?? position);
      if (event.type === "click") from.current = null;
      const next: Span = { side, from: Math.min(start, position), to: Math.max(start, position) };
      if (now !== null && now.side === next.side && now.from === next.from && now.to === next.to) return;
      move({ span: next, held: null }, event.type === "click" ? "push" : "replace");
    },
    [move, side],
  );
}

/** What the colours mean at the moment. */
function StripLegend(): VNode {
  const state = usePrompt();
  const { prompts, measure, pointer, address } = state;
  const row = usePointed(pointer, (at) => colouredRow(at, address.feature, prompts.rowOf));
  const most = useMemo(() => colouring(state, row)[0]?.most ?? 0, [state.measure, state.order, state.kept, prompts, row]);
  const masked = prompts.sides.some(({ view }) => view.masked.includes(1));
  const alone = prompts.partners.some((partner) => prompts.two && partner.includes(-1));
  return (
    <p class="legend">
      <span>
        {row === null ? "Strongest at each token" : <b>Feature {prompts.part.firing.feature[row]}</b>}: {measure.metric.title}
      </span>
      <Scale ends={endsOf(measure)} most={valueWords(measure, most)} />
      {masked && (
        <span>
          <Meaning of="masked">
            <span class="tok masked">masked</span>
          </Meaning>{" "}
          in no statistic, nor in a ranking over several tokens
        </span>
      )}
      {alone && (
        <span>
          <span class="tok alone">no counterpart</span> in the other prompt
        </span>
      )}
    </p>
  );
}
