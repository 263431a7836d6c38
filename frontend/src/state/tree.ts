// The tree that an element is in: the document's, or one in a shadow.

/** Where to ask for what has the focus, and for what is under the pointer. */
export function treeOf(node: Node): DocumentOrShadowRoot & ParentNode {
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? root : document;
}

/** Whether text is selected in the tree of an element; some browsers tell of a shadow only there. */
export function selecting(node: Node): boolean {
  const tree = treeOf(node) as { getSelection?: () => Selection | null };
  return (tree.getSelection?.() ?? document.getSelection())?.isCollapsed === false;
}
