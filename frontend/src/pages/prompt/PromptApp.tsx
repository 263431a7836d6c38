// A prompt-centric page: the prompt, the features that matter at its tokens, and their cards.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { tip } from "../../state/card";
import { Header } from "../../components/Header";
import { Notice } from "../../components/Messages";
import { TopBar } from "../../components/TopBar";
import { Tooltips } from "../../marks/Tooltip";
import type { PromptPart } from "../../data/contract";
import type { Source } from "../../data/source";
import { Chosen } from "./Controls";
import { KEYS, ON_CONTROLS, useStep } from "./keys";
import { useKeys } from "../../state/keys";
import { Prompts } from "../../state/prompt/pairs";
import { Help } from "../../components/Help";
import { PromptTip } from "./PromptTip";
import { PromptContext, usePromptState } from "../../state/prompt/state";
import { PromptBody } from "./PromptBody";

export function PromptApp({ source, part }: { source: Source; part: PromptPart }): VNode {
  const prompts = useMemo(() => new Prompts(part), [part]);
  const state = usePromptState(source, prompts);
  const { head, address, move, pointer } = state;
  const [help, setHelp] = useState(false);
  const step = useStep(state);
  useKeys(KEYS, { ...state, step, help, setHelp }, ON_CONTROLS);
  const about = useMemo(() => <Header head={head} />, [head]);
  useLayoutEffect(() => () => tip.set(null), [state.open]);
  const below = head.layout.columns.every((column) => column.components.every((c) => c.options["hover_below"] !== false));
  return (
    <PromptContext.Provider value={state}>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <Chosen step={step} />
      </TopBar>
      {about}
      <main class={`prompt-page ${address.cards > 1 ? "several" : ""}`} onScroll={() => pointer.set(null)}>
        <PromptBody />
      </main>
      <Tooltips below={below} several={state.open.length > 1} />
      <PromptTip />
      <Notice />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </PromptContext.Provider>
  );
}
