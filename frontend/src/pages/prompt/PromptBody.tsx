// The prompt, its rankings and its cards.
import type { VNode } from "preact";
import { Controls } from "./Controls";
import { HeatMap } from "./HeatMap";
import { PromptCards } from "./PromptCards";
import { Ranking } from "./Ranking";
import { Strip } from "./Strip";

export function PromptBody(): VNode {
  return (
    <>
      <Strip />
      <Controls />
      <div class="prompt-main">
        <div class="prompt-left">
          <Ranking />
          <HeatMap />
        </div>
        <PromptCards />
      </div>
    </>
  );
}
