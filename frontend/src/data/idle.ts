// Work that can wait until the page has nothing else to do.

/** Milliseconds after which the work is done anyway. */
const PATIENCE = 300;

/** Returns the function that calls it off. */
export function whenIdle(work: () => void): () => void {
  if (typeof requestIdleCallback === "function") {
    const call = requestIdleCallback(work, { timeout: PATIENCE });
    return () => cancelIdleCallback(call);
  }
  const timer = setTimeout(work, 1);
  return () => clearTimeout(timer);
}

/** Once the next frame is on screen; what the work leaves to be called off is called off with it. */
export function afterFrame(work: () => () => void): () => void {
  let timer = 0;
  let rest: (() => void) | null = null;
  let frame = requestAnimationFrame(() => {
    frame = requestAnimationFrame(() => {
      timer = window.setTimeout(() => (rest = work()));
    });
  });
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    rest?.();
  };
}
