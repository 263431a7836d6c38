// Links in the sidebar from a page to the same page of other versions. Nothing is fetched: versions.js has the list.
(() => {
  const nav = document.querySelector(".versions");
  const { version, root, page } = nav.dataset;
  const all = window.docsVersions;
  if (!all.some((one) => one.version === version) || all.length < 2) return;

  const newest = all.find((one) => one.release) ?? all[0];
  const list = document.createElement("ul");
  for (const one of all) {
    const link = document.createElement("a");
    link.href = `${root}../${one.folder}/${one.pages.includes(page) ? page : "index"}.html`;
    link.textContent = one.release ? one.version : `${one.version} (in development)`;
    if (one.version === version) link.setAttribute("aria-current", "true");
    const item = document.createElement("li");
    item.append(link);
    list.append(item);
  }
  const menu = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = `Version ${version}`;
  menu.append(summary, list);
  nav.replaceChildren(menu);

  if (newest.version === version) return;
  const note = document.createElement("p");
  const there = document.createElement("a");
  there.href = list.children[all.indexOf(newest)].firstChild.href;
  there.textContent = `Version ${newest.version}`;
  note.append(there, newest.release ? " is the newest release." : " is newer.");
  nav.append(note);
})();
