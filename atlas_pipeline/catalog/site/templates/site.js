(() => {
  "use strict";
  const root = document.documentElement, one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const kept = { get: (name) => { try { return localStorage.getItem(name) } catch { return null } }, set: (name, value) => { try { localStorage.setItem(name, value) } catch { /* kept for this page alone */ } } };
  const make = (name, text, className) => { const made = document.createElement(name); if (text) made.textContent = text; if (className) made.className = className; return made };

  const theme = kept.get("catalogue-theme"), toggle = one(".theme");
  const dark = () => getComputedStyle(root).colorScheme === "dark" || (root.dataset.theme ?? "") === "" && matchMedia("(prefers-color-scheme: dark)").matches;
  if (theme) root.dataset.theme = theme;
  toggle.hidden = false;
  toggle.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; kept.set("catalogue-theme", root.dataset.theme) });

  const dialog = one("dialog"), field = one("input", dialog), hits = one(".hits", dialog), open = one(".find");
  let entries = null, chosen = 0;
  const load = () => {
    if (entries) return;
    const script = document.createElement("script");
    script.src = "search.js";
    script.addEventListener("load", () => { entries = window.catalogueEntries; search() });
    script.addEventListener("error", () => hits.replaceChildren(make("li", "The file search.js is missing: build the catalogue again.", "pad")));
    document.head.append(script);
  };
  const show = () => { load(); if (!dialog.open) dialog.showModal(); field.value = ""; search(); field.focus() };
  const rank = (text, word) => { const at = text.indexOf(word); return at < 0 ? 0 : at === 0 ? (text.length === word.length ? 8 : 5) : /[^a-z0-9]/.test(text[at - 1]) ? 4 : 2 };
  const score = (words, texts) => words.reduce((sum, word) => { const best = Math.max(...texts.map(([text, weight]) => rank(text.toLowerCase(), word) * weight)); return sum === 0 || best === 0 ? 0 : sum + best }, 1);
  const order = ([, key, , , more]) => { const place = ["gold", "silver", "bronze"].indexOf((key.includes(".") ? key : more).split(".")[0]); return place < 0 ? 3 : place };
  const found = (words) => {
    const results = [];
    for (const [file, key, layer, about, columns] of entries) {
      const name = key.slice(key.indexOf(".") + 1), table = score(words, [[name, 3], [key, 2], [about, .5]]);
      if (table) results.push([table + 1, key, layer, file, about]);
      for (const [column, anchor, kind, description] of columns) {
        const hit = score(words, [[column, 2], [kind, 1.5], [description, .5], [`${key}.${column}`, .6]]);
        if (hit && (!table || words.some((word) => column.toLowerCase().includes(word) || kind.toLowerCase().includes(word)))) results.push([hit, column, kind, `${file}#${anchor || `c-${column}`}`, key]);
      }
    }
    return results.sort((a, b) => b[0] - a[0] || order(a) - order(b) || a[1].length - b[1].length || (a[1] < b[1] ? -1 : 1)).slice(0, 60);
  };
  const marked = (text, words) => {
    const line = make("b"), at = words.map((word) => [text.toLowerCase().indexOf(word), word.length]).find(([place]) => place >= 0);
    if (!at) line.textContent = text; else line.append(text.slice(0, at[0]), make("mark", text.slice(at[0], at[0] + at[1])), text.slice(at[0] + at[1]));
    return line;
  };
  const choose = (place) => {
    const items = all("[role=option]", hits);
    chosen = Math.max(0, Math.min(place, items.length - 1));
    items.forEach((item, number) => item.setAttribute("aria-selected", String(number === chosen)));
    if (items[chosen]) { items[chosen].scrollIntoView({ block: "nearest" }); field.setAttribute("aria-activedescendant", items[chosen].id) } else field.removeAttribute("aria-activedescendant");
  };
  const search = () => {
    if (!entries) return;
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const results = words.length ? found(words) : entries.slice(0, 60).map(([file, key, layer, about]) => [0, key, layer, file, about]);
    hits.replaceChildren(...results.map(([, title, badge, href, more], number) => {
      const item = make("li"), link = make("a");
      item.id = `hit-${number}`; item.setAttribute("role", "option");
      link.href = href; link.tabIndex = -1;
      link.append(marked(title, words));
      if (badge) link.append(make("span", badge, ["bronze", "silver", "gold"].includes(badge) ? `tag layer ${badge}` : "tag kind"));
      link.append(make("span", more.slice(0, 90), "in")); item.append(link);
      return item;
    }));
    if (!results.length) { const none = make("li", "Nothing has this in its name or description.", "pad soft"); none.setAttribute("role", "presentation"); hits.append(none) }
    one("#found").textContent = `${results.length} found`;
    choose(0);
  };
  open.hidden = false;
  open.addEventListener("click", show);
  field.addEventListener("input", search);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); choose(chosen + (event.key === "ArrowDown" ? 1 : -1)) }
    if (event.key === "Enter") { event.preventDefault(); const link = one("[aria-selected=true] a", hits); if (link) { dialog.close(); location.href = link.href } }
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("a")) dialog.close() });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, [contenteditable]");
    if ((event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) { event.preventDefault(); show() }
  });

  for (const tools of all(".tools")) {
    tools.hidden = false;
    const rows = all("tbody tr", tools.parentElement), text = one("input", tools), buttons = all("button", tools), output = one("output", tools);
    const apply = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean), pressed = buttons.find((button) => button.getAttribute("aria-pressed") === "true")?.value ?? "";
      let shown = 0;
      for (const row of rows) { const fits = (!pressed || row.dataset.layer === pressed) && words.every((word) => row.dataset.text.includes(word)); row.hidden = !fits; shown += fits }
      output.textContent = `${shown} of ${rows.length}`;
    };
    text.addEventListener("input", apply);
    buttons.forEach((button) => button.addEventListener("click", () => { buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button && other.getAttribute("aria-pressed") !== "true"))); apply() }));
    apply();
  }

  for (const graph of all(".graph")) {
    const around = graph.closest(".scroll"), focus = one(".focus", graph);
    if (around && focus) { const box = focus.getBoundingClientRect(), view = around.getBoundingClientRect(); around.scrollLeft += box.left - view.left - (view.width - box.width) / 2; around.scrollTop += box.top - view.top - (view.height - box.height) / 2 }
    const paths = all("path[data-from]", graph), columns = new Map(all("[data-column]", graph).map((column) => [column.dataset.column, column]));
    if (!columns.size) continue;
    const next = (side, other) => { const map = new Map(); for (const path of paths) { const list = map.get(path.dataset[side]) ?? []; list.push([path, path.dataset[other]]); map.set(path.dataset[side], list) } return map };
    const after = next("from", "to"), before = next("to", "from");
    const light = (start) => {
      const on = new Set([start]), lit = new Set();
      for (const way of [after, before]) { const queue = [start], seen = new Set(queue); for (const end of queue) for (const [path, other] of way.get(end) ?? []) { lit.add(path); on.add(other); if (!seen.has(other)) { seen.add(other); queue.push(other) } } }
      graph.classList.toggle("lit", Boolean(start));
      paths.forEach((path) => path.classList.toggle("on", lit.has(path)));
      columns.forEach((column, name) => column.classList.toggle("on", Boolean(start) && on.has(name)));
    };
    columns.forEach((column, name) => { for (const event of ["mouseenter", "focus"]) column.addEventListener(event, () => light(name)); for (const event of ["mouseleave", "blur"]) column.addEventListener(event, () => light("")) });
  }
})();
