// Choosing a feature: the one before, the one after, by number, or from a list.
import type { VNode } from "preact";
import { MOST_BESIDE, type Look } from "../state/address";
import { count } from "../data/format";
import type { Page } from "../state/page";
import type { Panes } from "../state/panes";
import type { Head } from "../data/source";
import { FeatureList } from "./FeatureList";
import { Stepper } from "./Stepper";

export interface PickerProps {
  readonly page: Page<Look>;
  readonly panes: Panes;
  readonly open: boolean;
  readonly setOpen: (open: boolean) => void;
}

export function Picker({ page, panes, open, setOpen }: PickerProps): VNode {
  const { head } = page;
  const { features, active } = panes;
  const ids = head.summary.feature;
  return (
    <nav class="picker" aria-label="Features">
      {features.length === 1 && <Single head={head} panes={panes} />}
      <button type="button" class="list" aria-expanded={open} aria-controls="features" onClick={() => setOpen(!open)} title="Search the features (/)">
        Find a feature <kbd>/</kbd>
      </button>
      <button
        type="button"
        class="compare"
        onClick={() => panes.compare()}
        disabled={features.length >= MOST_BESIDE || ids.length <= features.length}
        title="One more feature beside (b)"
      >
        Compare
      </button>
      {open && (
        <FeatureList
          source={page.source}
          texts={page.texts}
          shown={features}
          active={active}
          close={() => setOpen(false)}
          go={(feature) => panes.go(active, feature)}
          beside={(feature) => panes.beside(feature)}
        />
      )}
    </nav>
  );
}

function Single({ head, panes }: { head: Head; panes: Panes }): VNode {
  const feature = panes.features[0] ?? -1;
  const ids = head.summary.feature;
  const place = ids.indexOf(feature);
  return (
    <>
      <Stepper head={head} feature={feature} step={(by) => panes.step(0, by)} go={(to) => panes.go(0, to)} />
      <span class="quiet place">{place < 0 ? "not on this page" : `${count(place + 1)} of ${count(ids.length)}`}</span>
    </>
  );
}
