"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const number = (value) => value.toLocaleString("en-US");
  const short = (value) => Number(value.toPrecision(4)).toLocaleString("en-US", { maximumSignificantDigits: 4 });
  const figure = (value) => (Number.isInteger(value) ? number(value) : short(value));
  const about = (value) => new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
  const make = (tag, text, kind) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text; // text is never markup
    if (kind) node.className = kind;
    return node;
  };

  // What another threshold would keep: sums over the segments of a rule's histogram.
  const place = (value, edges) => {
    let n = 0;
    while (n < edges.length - 2 && value >= edges[n + 1]) n += 1;
    const share = (value - edges[n]) / (edges[n + 1] - edges[n] || 1);
    return (n + Math.min(1, Math.max(0, share))) / (edges.length - 1);
  };
  const threshold = (box) => {
    const rule = data.rules[Number(box.dataset.rule)];
    const { low, high, counts } = rule.segments;
    const svg = box.closest("figure").querySelector("svg.plot");
    const state = { min: rule.segments.min_at, max: rule.segments.max_at };
    const sum = (from, to, column) => {
      let total = 0;
      for (let n = from; n < to; n += 1) total += counts[n][column];
      return total;
    };
    const now = sum(state.min, state.max, 2);
    const every = sum(0, counts.length, 2);
    for (const input of box.querySelectorAll("input")) {
      const bound = input.dataset.bound;
      const output = box.querySelector(`output[for="${input.id}"]`);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      line.setAttribute("class", "tried");
      line.setAttribute("y1", "0");
      line.setAttribute("y2", "200");
      svg.append(line);
      const first = state[bound];
      input.min = 0;
      input.max = low.length;
      input.step = 1;
      input.value = first;
      const show = () => {
        state[bound] = Number(input.value);
        const there = state[bound] < low.length ? low[state[bound]] : high;
        const value = state[bound] === first ? rule[bound] : there;
        const x = String(1000 * place(value, rule.edges));
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        const documents = sum(state.min, state.max, 2);
        const bytes = sum(state.min, state.max, 3);
        const change = now ? (100 * (documents - now)) / now : 0;
        const moved = documents === now ? "as it is now" : `${change > 0 ? "+" : "−"}${Math.abs(change).toFixed(1)} %`;
        const words = `${bound === "min" ? "At least" : "At most"} ${short(value)}: ${number(documents)} documents pass all `
          + `rules (${moved}), ${every ? ((100 * documents) / every).toFixed(1) : 0} % of those that pass all others, `
          + `${about(bytes / 1e6)} MB, about ${about(bytes * rule.tokens_per_byte)} tokens.`;
        output.textContent = words;
        input.setAttribute("aria-valuetext", words);
      };
      input.addEventListener("input", show);
      box.querySelector("button").addEventListener("click", () => {
        input.value = first;
        show();
      });
      show();
    }
    box.hidden = false;
  };
  document.querySelectorAll(".try").forEach(threshold);

  // With the keyboard one stops only at boxes that can be scrolled.
  const stops = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
      target.tabIndex = scrolls ? 0 : -1;
    }
  });
  document.querySelectorAll(".scroll").forEach((box) => stops.observe(box));

  // Samples, with search and filters.
  const list = document.getElementById("samples-list");
  if (!list) return;
  const form = document.getElementById("filters");
  const status = document.getElementById("samples-count");
  const more = document.getElementById("samples-more");
  const [search, recipe, fate, source] = ["search", "recipe", "fate", "source"].map((name) => form.elements[name]);
  const page = 20;
  let shown = page;
  const option = (select, value, text) => {
    const node = make("option", text);
    node.value = value;
    select.append(node);
  };
  const name = (one) => {
    const outcome = one[0].replaceAll("_", " ");
    return one[1] && one[1] !== outcome ? `${outcome}: ${one[1]}` : outcome;
  };
  const fill = () => {
    const found = new Map();
    for (const sample of data.samples) {
      const label = name(sample.fates[recipe.value]);
      found.set(label, (found.get(label) || 0) + 1);
    }
    fate.replaceChildren();
    option(fate, "", "any");
    for (const label of [...found.keys()].sort()) option(fate, label, `${label} (${found.get(label)})`);
  };
  for (const one of data.recipes) option(recipe, one, one);
  recipe.value = data.recipes[data.recipes.length - 1];
  option(source, "", "any");
  for (const one of [...new Set(data.samples.map((sample) => sample.source))].sort()) option(source, one, one);
  const told = (one, document) => {
    const words = name(one);
    if (one[0] === "kept") return `${words}: ${number(one[3])} tokens, from rung ${one[4]} on`;
    return one[2] && one[2] !== document ? `${words} (near ${one[2]})` : words;
  };
  const card = (sample) => {
    const box = make("article", undefined, "sample");
    const heading = make("h3", sample.name);
    heading.dir = "auto";
    box.append(heading);
    box.append(make("p", `${sample.source} · ${number(sample.bytes)} bytes of text · read from ${sample.record}`, "soft"));
    const fates = make("ul");
    for (const one of data.recipes) fates.append(make("li", `${one}: ${told(sample.fates[one], sample.document)}`));
    box.append(fates);
    if (sample.text) {
      const text = make("pre", sample.text);
      text.tabIndex = 0;
      text.dir = "auto";
      text.setAttribute("role", "group");
      text.setAttribute("aria-label", "How the text begins");
      box.append(text);
    }
    const scores = Object.entries(sample.scores).filter(([key, value]) => value !== null && key !== "text_bytes"); // said above
    if (scores.length && sample.document) {
      box.append(make("p", scores.map(([key, value]) => `${key} ${typeof value === "number" ? figure(value) : value}`).join(" · "), "soft"));
    }
    if (sample.document) box.append(make("p", `id ${sample.document}`, "soft mono"));
    return box;
  };
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = data.samples.filter((sample) => {
      if (source.value && sample.source !== source.value) return false;
      if (fate.value && name(sample.fates[recipe.value]) !== fate.value) return false;
      const text = `${sample.name}\n${sample.text || ""}\n${sample.document || ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    list.replaceChildren(...fits.slice(0, shown).map(card));
    list.querySelectorAll("pre").forEach((box) => stops.observe(box));
    status.textContent = `${number(fits.length)} of ${number(data.samples.length)} samples; ${number(Math.min(shown, fits.length))} shown`;
    more.hidden = fits.length <= shown;
  };
  const again = () => {
    shown = page;
    draw();
  };
  recipe.addEventListener("change", () => {
    fill();
    again();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const field of [search, fate, source]) field.addEventListener("input", again);
  more.addEventListener("click", () => {
    const before = shown;
    shown += page;
    draw();
    const next = list.children[before];
    if (next) {
      next.tabIndex = -1;
      next.focus();
    }
  });
  form.hidden = false;
  fill();
  draw();
})();
