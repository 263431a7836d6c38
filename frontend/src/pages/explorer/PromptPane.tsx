// Prompts of the user's own: typed, read by the model, shown as on a page of a prompt.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { Help } from "../../components/Help";
import type { ExplorerSource } from "../../data/explorer";
import type { PromptPart } from "../../data/contract";
import { count, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { tip } from "../../state/card";
import type { ExplorerAddress } from "../../state/explorer/address";
import { useAsked } from "../../state/explorer/asked";
import { exampleFor, type Example } from "../../state/explorer/example";
import { promptSource, useLivePrompt, type LivePrompt } from "../../state/explorer/prompt";
import type { Moves, Within } from "../../state/history";
import { useKeys } from "../../state/keys";
import { isFull, Prompts } from "../../state/prompt/pairs";
import { PromptContext, usePromptState } from "../../state/prompt/state";
import { Chosen } from "../prompt/Controls";
import { Layers } from "./Layers";
import { KEYS, ON_CONTROLS, useStep } from "../prompt/keys";
import { PromptBody } from "../prompt/PromptBody";
import { PromptTip } from "../prompt/PromptTip";

/** The prompt's part of the address, which it shares with the explorer's. */
const WITHIN: Within = { prefix: "p.", others: (name) => !name.startsWith("p.") };
const PAIRS = 64;
const FULL = "full_loss_effect";

export interface PromptPaneProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

export function PromptPane({ source, texts, address, move, help, setHelp }: PromptPaneProps): VNode {
  const { text, compare } = address;
  const several = source.info.indices.length > 1;
  const live = useLivePrompt(source, text, compare);
  const { feature } = address;
  const asked = text === "" && source.info.can.reader;
  const { found: example } = useAsked({ ask: asked ? (signal) => exampleFor(source, texts, feature, signal) : null, pause: 0, clear: "never" }, [source, feature, asked]);
  const [earlier, setEarlier] = useState<readonly string[]>([]);
  useLayoutEffect(() => {
    if (live.state === "there") setEarlier((before) => [text, ...before.filter((one) => one !== text)].slice(0, 8));
  }, [live.state]);
  return (
    <section class="prompt-pane" aria-label="Prompt">
      <div class="prompt-input">
        <label>
          <span>Prompt</span>
          <textarea rows={2} value={text} placeholder="Type or paste a text: what the model does with it, feature by feature" onInput={(event) => move({ text: event.currentTarget.value }, "replace")} />
        </label>
        <label>
          <span>Compare with</span>
          <textarea rows={2} value={compare} placeholder="A second prompt, or nothing" onInput={(event) => move({ compare: event.currentTarget.value }, "replace")} />
        </label>
      </div>
      {earlier.length > 1 && (
        <p class="earlier">
          <span class="quiet">Earlier:</span>{" "}
          {earlier.filter((one) => one !== text).map((one) => (
            <button key={one} type="button" class="filter-chip" title={one} onClick={() => move({ text: one })}>
              {one.length > 40 ? `${one.slice(0, 39)}…` : one}
            </button>
          ))}
        </p>
      )}
      {text === "" && example !== null && <Begin example={example} begin={() => move({ text: example.text })} />}
      <div class="progress">
        <Progress live={live} />
        {several && (
          <label class="every-layer">
            <input type="checkbox" checked={address.every} onChange={(event) => move({ every: event.currentTarget.checked })} /> at every index ({source.info.indices.length})
          </label>
        )}
      </div>
      {several && address.every && <Layers source={source} texts={texts} text={text} />}
      {live.part !== null && <Shown source={source} part={live.part} measured={live.measured} help={help} setHelp={setHelp} />}
    </section>
  );
}

/** A text to begin with; nothing runs before it is chosen. */
function Begin({ example, begin }: { readonly example: Example; readonly begin: () => void }): VNode {
  const brief = example.text.replace(/\s+/g, " ").trim();
  return (
    <p class="earlier">
      <span class="quiet">{example.feature === null ? "Try the beginning of the corpus:" : `Try a text of the corpus, where feature ${example.feature} fires most strongly:`}</span>{" "}
      <button type="button" class="filter-chip" title={example.text} onClick={begin}>
        {brief.length > 80 ? `${brief.slice(0, 79)}…` : brief}
      </button>
    </p>
  );
}

function Progress({ live }: { readonly live: LivePrompt }): VNode {
  const { state, failed, measuring, measured, part } = live;
  const all = measured !== null && measured.done === measured.total;
  return (
    <div class="measuring" role="status">
      {state === "running" && <span class="quiet">The model reads…</span>}
      {failed !== null && <span class="message failed">{failed}</span>}
      {measuring === null && measured !== null && <span class="quiet">{plural(measured.done, "full effect")} measured.</span>}
      {state === "there" && part !== null && measuring === null && !all && (
        <button type="button" class="filter-chip" title="Each is a run of the model with one feature taken out at one token" onClick={() => live.measure(PAIRS)}>
          Measure the full effects of the {PAIRS} pairs of largest attribution
        </button>
      )}
      {measuring !== null && (
        <>
          <progress value={measuring.done} max={measuring.total} aria-label="Full effects measured" /> {count(measuring.done)} of {count(measuring.total)} full effects{" "}
          <button type="button" class="filter-chip" onClick={live.cancel}>
            Stop
          </button>
        </>
      )}
    </div>
  );
}

interface ShownProps {
  readonly source: ExplorerSource;
  readonly part: PromptPart;
  readonly measured: LivePrompt["measured"];
  readonly help: boolean;
  readonly setHelp: (open: boolean) => void;
}

function Shown({ source, part, measured, help, setHelp }: ShownProps): VNode {
  const prompts = useMemo(() => new Prompts(part), [part]);
  const own = useMemo(() => promptSource(source, part), [source, part]);
  const state = usePromptState(own, prompts, WITHIN);
  const step = useStep(state);
  useKeys(KEYS, { ...state, step, help, setHelp }, ON_CONTROLS);
  useLayoutEffect(() => () => tip.set(null), [state.open]);
  const full = measured !== null && prompts.known(FULL) && !isFull(state.measure.metric);
  return (
    <PromptContext.Provider value={state}>
      <div class="chosen-bar">
        <Chosen step={step} />
        {full && (
          <button type="button" class="filter-chip" title="The features whose full effects were measured, the largest effect first" onClick={() => state.move({ metric: FULL, order: null })}>
            Rank by the measured full effects
          </button>
        )}
      </div>
      <div class={`prompt-page ${state.address.cards > 1 ? "several" : ""}`}>
        <PromptBody />
      </div>
      <PromptTip />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </PromptContext.Provider>
  );
}
