// What the user writes about the open feature, and tries on it.
import type { VNode } from "preact";
import { AnyToken } from "../../components/explorer/AnyToken";
import { NoteBox } from "../../components/explorer/NoteBox";
import { TryText, type TryTextProps } from "../../components/explorer/TryText";
import type { NoteBook } from "../../state/explorer/notes";

export interface OwnProps extends TryTextProps {
  readonly book: NoteBook;
}

export function Own({ book, ...tried }: OwnProps): VNode {
  const { source, texts, feature } = tried;
  const { can } = source.info;
  return (
    <div class="own">
      {can.notes && <NoteBox key={feature} feature={feature} book={book} />}
      {can.live && <TryText {...tried} />}
      {can.live && <AnyToken source={source} texts={texts} feature={feature} />}
    </div>
  );
}
