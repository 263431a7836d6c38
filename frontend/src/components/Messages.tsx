// What went wrong or is not there, each in its own plain words.
import type { VNode } from "preact";
import { count, plural } from "../data/format";
import { notice } from "../state/notice";
import { useSignal } from "../state/signal";
import type { Head } from "../data/source";

export function NotComputed({ what }: { what: string }): VNode {
  return <p class="quiet">Not computed: {what}.</p>;
}

export function DeadFeature({ feature, head }: { feature: number; head: Head }): VNode {
  return (
    <p class="message" role="status" data-message="dead">
      Feature {feature} is dead on this text: it fires on none of the {plural(head.meta.n_tokens, "unmasked token")}. What its
      direction alone tells is shown; there are no examples.
    </p>
  );
}

export function MissingFeature({ feature, head }: { feature: number; head: Head }): VNode {
  const n = head.summary.feature.length;
  const exists = feature < head.meta.d_sae;
  return (
    <p class="message" role="status" data-message="missing">
      {exists
        ? `Feature ${feature} is not on this page, which holds ${count(n)} of the SAE's ${plural(head.meta.d_sae, "feature")} (${head.meta.selection}).`
        : `There is no feature ${feature}: the SAE has ${plural(head.meta.d_sae, "feature")}, 0 to ${head.meta.d_sae - 1}.`}{" "}
      Choose another in the list above.
    </p>
  );
}

export function UnknownComponent({ type }: { type: string }): VNode {
  return (
    <p class="message" role="status" data-message="unknown">
      This page does not know how to draw “{type}”. The layout asks for it; the front end built into the page has no component
      of that name.
    </p>
  );
}

export function FailedLoad({ what, reason }: { what: string; reason: string }): VNode {
  return (
    <p class="message failed" role="alert" data-message="failed">
      {what} can't be read: {reason}. The file may be cut off or damaged; make or copy it again.
    </p>
  );
}

/** A site that was opened by a double click: browsers don't let a page read the files beside it. */
export function FromFile({ folder }: { folder: string }): VNode {
  return (
    <p class="message" role="alert" data-message="from-file">
      This is a site of many files, which a browser reads from a server only. One command serves it: <code>python -m http.server -d {folder}</code>{" "}
      from the folder above it; then open <code>http://localhost:8000</code>.
    </p>
  );
}

/** What just happened, for a moment. */
export function Notice(): VNode {
  return (
    <p class="notice" role="status">
      {useSignal(notice)}
    </p>
  );
}
