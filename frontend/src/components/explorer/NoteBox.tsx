// The user's note on the open feature.
import type { VNode } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import type { NoteBook } from "../../state/explorer/notes";

export function NoteBox({ feature, book }: { readonly feature: number; readonly book: NoteBook }): VNode {
  const kept = book.notes.get(feature)?.text ?? "";
  const [text, setText] = useState(kept);
  const [state, setState] = useState<"kept" | "typing" | "failed">("kept");
  useLayoutEffect(() => {
    if (state !== "kept") return;
    setText(kept);
  }, [kept]);
  const write = async (): Promise<void> => {
    if (text === kept) setState("kept");
    else setState((await book.write(feature, text)) ? "kept" : "failed");
  };
  return (
    <label class="note">
      <span>
        Note <i class="quiet">{state === "typing" ? "kept when you leave it" : state === "failed" ? "not kept: what is there now is in the list; leave the note again to write yours over it" : ""}</i>
      </span>
      <textarea
        rows={1}
        value={text}
        placeholder="What is this feature?"
        onInput={(event) => {
          setText(event.currentTarget.value);
          setState("typing");
        }}
        onBlur={() => void write()}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void write();
        }}
      />
    </label>
  );
}
