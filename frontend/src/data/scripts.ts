// Parts of the page's script that come when they are first needed. Each is a plain script, and may use those before it; the
// page's policy knows them by their hashes, so that they are put into the page as texts.

/** A part, as the page names it: its name, the addresses of its script and of its styles. */
interface Named {
  readonly name: string;
  readonly script: string;
  readonly style: string | null;
}

const asked = new Map<string, Promise<void>>();

/** What a part hands over. Throws where it can't be had. */
export async function part<T>(page: Document, name: string): Promise<T> {
  const named = JSON.parse(page.getElementById("parts")?.textContent ?? "[]") as readonly Named[];
  const last = named.findIndex((one) => one.name === name);
  for (const one of named.slice(0, last + 1)) {
    let there = asked.get(one.name);
    if (there === undefined) {
      asked.set(one.name, (there = put(page, one)));
      there.catch(() => asked.delete(one.name));
    }
    await there;
  }
  const found = (globalThis as { saeVis?: Readonly<Record<string, unknown>> }).saeVis?.[last < 0 ? "" : (named[last]?.name ?? "")];
  if (found === undefined) throw new Error(`the page's script has no part ${name}`);
  return found as T;
}

async function put(page: Document, { script, style }: Named): Promise<void> {
  const [code, styles] = await Promise.all([text(script), style === null ? "" : text(style)]);
  for (const [tag, content] of [["style", styles], ["script", code]] as const) {
    if (content === "") continue;
    const made = page.createElement(tag);
    made.textContent = content;
    page.head.append(made);
  }
}

async function text(address: string): Promise<string> {
  const answer = await fetch(address).catch(() => null);
  if (answer === null || !answer.ok) throw new Error(`${address} can't be had: ${answer === null ? "nothing answers there" : `the answer is ${answer.status}`}`);
  return answer.text();
}
