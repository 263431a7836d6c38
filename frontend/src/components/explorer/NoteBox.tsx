// The user's note on the open feature.
import type { VNode } from "preact";
import type { NoteBook } from "../../state/explorer/notes";

export function NoteBox({ feature, book }: { readonly feature: number; readonly book: NoteBook }): VNode {
  const draft = book.drafts.get(feature);
  return (
    <div class="own-note">
      <label>
        <span>Note</span>
        <textarea
          rows={1}
          value={draft?.text ?? book.notes.get(feature)?.text ?? ""}
          placeholder="What is this feature?"
          onInput={(event) => book.type(feature, event.currentTarget.value)}
          onBlur={() => void book.write(feature)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void book.write(feature);
          }}
        />
      </label>
      <span class="quiet" role="status">
        {draft === undefined ? "" : (draft.failed ?? "kept when you leave it")}
      </span>
    </div>
  );
}
