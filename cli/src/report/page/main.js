// The state of the page, which is in its address; what happens on clicks and keys.
const Page = (() => {
  const state = { view: "all", cost: "peak", group: "site", search: "", filters: {}, right: "flame", fold: true, theme: "", per: "none", skip: 0 };
  const GROUPS_WITH_STACKS = ["site", "function", "size", "thread", "module", "process"];
  const GROUPS_WITHOUT = ["place", "size", "thread", "process"];
  const groups = () => Model.hasStacks ? GROUPS_WITH_STACKS : GROUPS_WITHOUT.filter(it => it !== "place" || !Model.isPair);
  const PERS = { none: "the run", call: "a call", second: "a second" };

  // The address has what is not as in the beginning.
  function write() {
    const words = new URLSearchParams();
    if (state.view !== firstView()) words.set("view", state.view);
    if (Model.isPair && state.per !== Model.content.per) words.set("per", state.per);
    if (state.cost !== "peak") words.set("cost", state.cost);
    if (state.group !== groups()[0]) words.set("by", state.group);
    if (state.search) words.set("find", state.search);
    if (state.right !== firstRight()) words.set("picture", state.right);
    if (!state.fold) words.set("fold", "no");
    if (state.skip) words.set("skip", state.skip);
    if (state.theme) words.set("theme", state.theme);
    for (const [kind, key] of Object.entries(state.filters)) if (key !== undefined) words.set(`only-${kind}`, key.replace("\u0000", "\u001f"));
    const text = words.toString();
    if (location.hash.slice(1) !== text) history.replaceState(null, "", `#${text}`);
  }
  const firstView = () => Model.content.isMoment ? "end" : "all";
  const firstRight = () => Model.hasStacks ? "flame" : "heat";

  function readAddress() {
    const words = new URLSearchParams(location.hash.slice(1));
    const one = (name, known, otherwise) => known.includes(words.get(name)) ? words.get(name) : otherwise;
    state.view = words.get("view") || firstView();
    if (Model.isPair) Model.setPer(state.per = one("per", Object.keys(PERS), Model.content.per));
    state.cost = one("cost", Object.keys(Model.COSTS), "peak");
    state.group = one("by", groups(), groups()[0]);
    state.search = words.get("find") || "";
    state.right = Model.hasStacks ? one("picture", ["flame", "heat"], "flame") : "heat";
    state.fold = words.get("fold") !== "no";
    state.skip = Serve.isOn() ? Math.max(0, parseInt(words.get("skip"), 10) || 0) : 0;
    state.theme = one("theme", ["light", "dark"], "");
    state.filters = {};
    for (const kind of Object.keys(Model.GROUPS)) {
      const key = words.get(`only-${kind}`);
      if (key !== null) state.filters[kind] = key.replace("\u001f", "\u0000");
    }
    byId("search").value = state.search;
    byId("fold").checked = state.fold;
    theme();
  }

  function theme() {
    if (state.theme) document.documentElement.dataset.theme = state.theme;
    else delete document.documentElement.dataset.theme;
  }

  const pressed = (buttons, chosen) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(chosen(button)));
  };

  // Everything below the figures follows the state.
  function show() {
    write();
    Serve.prepare(state);
    const view = Model.view(state.view);
    const chosen = Model.select(view, state.filters);
    const forTable = Model.select(view, state.filters, ["site", "function"].includes(state.group) ? ["site", "function"] : [state.group]);
    const sums = Model.total(chosen);
    Chart.mark(view);
    pressed(byId("views").children, button => button.dataset.view === view.kind);
    byId("costs").replaceChildren(...Object.entries(Model.COSTS).map(([cost, { name, title }], place) => {
      const button = element("button", null, cost === "peak" ? Table.firstName(view) : name);
      button.title = `${title} (${place + 1})`;
      button.dataset.cost = cost;
      button.addEventListener("click", () => change({ cost }));
      return button;
    }));
    pressed(byId("costs").children, button => button.dataset.cost === state.cost);
    pressed(byId("groups").children, button => button.dataset.group === state.group);
    pressed(byId("rights").children, button => button.dataset.right === state.right);
    range(view, sums);
    chips();
    Table.show(Model.group(forTable, state.group, state.fold), Model.total(forTable), { ...state }, view);
    const isFlame = state.right === "flame";
    byId("flame").hidden = !isFlame;
    byId("heat").hidden = isFlame;
    byId("fold-label").hidden = !isFlame;
    pressed(byId("pers").children, button => button.dataset.per === state.per);
    if (isFlame) Flame.show(chosen, { ...state }, view, state.search);
    else Heat.show(chosen, state, view);
  }

  // The chosen time in words.
  function range(view, sums) {
    const { content } = Model;
    if (Model.isPair) return rangeOfBoth(view, sums);
    const [start, end] = (view.span || [view.from * content.width_ns, Chart.timeOf(view.to)]).map(Units.span);
    const times = {
      all: () => ["whole run", ""],
      range: () => [`${start} to ${end}`, `${Units.size(sums.peak)} at its peak, `],
      peak: () => [`at ${Units.span(content.report.peak_time_ns)}`, `${Units.size(sums.peak)} live, until then `],
      end: () => ["at the end", `${Units.size(sums.peak)} live, until then `],
      at: () => [`at ${end}`, `${Units.size(sums.peak)} live, until then `],
      diff: () => [`from ${Units.span(Chart.timeOf(view.base, view.base_series === 6))} (A) to ${end} (B)`, `${sums.peak > 0 ? "+" : ""}${Units.size(sums.peak)}, `],
    }[view.kind]();
    const text = `${times[1]}${Units.size(sums.born)} allocated in ${Units.count(sums.births)} calls`;
    byId("range").replaceChildren(element("b", null, times[0]), `: ${text}`);
    byId("range").title = view.isExact ? `From ${Units.count(view.span[0])} to ${Units.count(view.span[1])} ns, to the nanosecond` : "Figures of a range are those of whole slices of time";
  }

  function rangeOfBoth(view, sums) {
    const [one, other] = sums.sides;
    const time = {
      all: () => "whole runs, at their peaks", end: () => "at the end", at: () => `live at ${Units.span(Chart.timeOf(view.at))}`,
      range: () => `${Units.span(view.from * Model.content.width_ns)} to ${Units.span(Chart.timeOf(view.to))}, at the peaks in there`,
    }[view.kind]();
    const change = `${sums.peak > 0 ? "+" : ""}${Units.size(sums.peak)}`;
    byId("range").replaceChildren(element("b", null, time), `: ${Units.size(one.peak)} → ${Units.size(other.peak)}, ${change}; calls ${Units.brief(one.births)} → ${Units.brief(other.births)}`);
    byId("range").title = "A: the run before, B: the run after. Figures of a range are those of whole slices of time, since the start of each run";
  }

  function chips() {
    const made = [];
    for (const [kind, key] of Object.entries(state.filters)) {
      if (key === undefined) continue;
      const name = key.split("\u0000")[0];
      const chip = element("button", "chip", `${kind === "function" ? "" : `${Model.GROUPS[kind]}: `}${name.length > 34 ? `${name.slice(0, 33)}…` : name} ✕`);
      chip.title = `Only ${name}. Click: all`;
      chip.addEventListener("click", () => only(kind, undefined));
      made.push(chip);
    }
    if (state.skip) {
      const chip = element("button", "chip", `places after the first ${Units.count(state.skip)} ✕`);
      chip.addEventListener("click", () => change({ skip: 0 }));
      made.push(chip);
    }
    byId("chips").replaceChildren(...made);
  }

  function change(some) {
    Object.assign(state, some);
    show();
  }
  const only = (kind, key) => change({ filters: { ...state.filters, [kind]: key } });

  // What a click on a row looks at: a site is looked at by its function.
  function target(row) {
    if (state.group === "site" || state.group === "function") {
      const hasStack = row.cells.some(cell => cell.stack);
      return hasStack ? ["function", row.label] : ["site", row.key];
    }
    return [state.group, row.key];
  }
  function focus(row) {
    // The rest can be opened where somebody can be asked for it.
    if (row.isOthers && Serve.isOn() && Model.content.more_cells) return change({ skip: Model.content.cells.length ? state.skip + Serve.most() : 0 });
    const [kind, key] = target(row);
    Flame.reset();
    only(kind, state.filters[kind] === key ? undefined : key);
  }
  const isChosen = row => { const [kind, key] = target(row); return state.filters[kind] === key; };

  // From A to B: the edges of the range, the peak to a moment, or the peak to the end.
  function difference() {
    const view = Model.view(state.view), last = Model.slices - 1;
    if (view.kind === "range" && view.from < view.to) return `diff:${Math.max(0, view.from - 1)}-${view.to}`;
    const peak = Model.view("peak").at;
    if (view.kind === "at" && view.at !== peak) return `diff:p-${view.at}`;
    return peak < last ? `diff:p-${last}` : `diff:${last >> 1}-${last}`;
  }
  function time(kind) {
    change({ view: kind === "diff" ? difference() : kind, ...(kind === "peak" || kind === "end" || kind === "diff" ? { cost: "peak" } : {}) });
  }

  function headerOfBoth() {
    const { names, reports } = Model.content;
    byId("program").textContent = "What has changed";
    byId("process").textContent = `from A: ${names[0]} to B: ${names[1]}`;
    byId("process").title = byId("process").textContent;
    const isComplete = reports.every(report => report.complete), badge = byId("state");
    badge.className = isComplete ? "good" : "bad";
    badge.textContent = isComplete ? "both complete" : `NOT COMPLETE: ${["A", "B"].filter((_, side) => !reports[side].complete).join(" and ")}`;
    badge.title = isComplete ? "Every event is in the traces" : "Figures cover the events that are there";
  }

  function header() {
    if (Model.isPair) return headerOfBoth();
    const { report, more_processes } = Model.content;
    const processes = report.processes;
    const base = path => path.split("/").pop();
    const date = `${new Date(report.start_unix_ns / 1e6).toISOString().slice(0, 19).replace("T", " ")} UTC`;
    const host = processes.length ? processes[0].host : "";
    const oldest = [...processes].sort((one, other) => one.start_ns - other.start_ns)[0];
    const count = processes.length + more_processes;
    const ended = it => it.exit_code === null ? { clean: "exited" }[it.ended] || String(it.ended) : `exited with code ${it.exit_code}`;
    byId("program").textContent = oldest ? base(oldest.program) + (count > 1 ? " and its tree" : "") : "nothing";
    const of = count > 1 ? `${Units.count(count)} processes` : oldest ? `process ${oldest.pid}` : "";
    const parts = [`${of} on ${host}`, date, Units.span(report.duration_ns)];
    if (count === 1) parts.push(ended(oldest));
    byId("process").textContent = parts.join(" · ");
    const badge = byId("state");
    badge.className = report.complete ? "good" : "bad";
    const missing = [];
    if (report.missing_events) missing.push(`${Units.count(report.missing_events)} events are missing`);
    if (report.damaged_places) missing.push(`${Units.count(report.damaged_places)} places are damaged`);
    if (report.pauses) missing.push(`recording paused ${report.pauses === 1 ? "once" : `${Units.count(report.pauses)} times`}`);
    badge.textContent = report.complete ? "complete" : `NOT COMPLETE: ${missing.join(", ")}`;
    badge.title = report.complete ? "Every event is in the trace" : "Figures cover the events that are there";
  }

  function put(all) {
    byId("figures").replaceChildren(...all.map(([name, value, more, title, change]) => {
      const card = element("div", `figure ${name}`, null, element("div", "name", name), element("div", "value", value), element("div", "more", more));
      if (change) card.querySelector(".value").classList.add(change > 0 ? "plus" : "minus");
      card.title = title;
      return card;
    }));
  }

  function figures() {
    if (Model.isPair) return put(Compare.cards());
    const { report } = Model.content;
    const seconds = report.duration_ns / 1e9;
    const lifetimes = report.lifetimes;
    const all = [
      ["peak", Units.size(report.peak_bytes), `${Units.count(report.peak_bytes)} B in ${Units.count(report.peak_blocks)} blocks`, `The largest live size after any event, first reached after ${Units.span(report.peak_time_ns)}. ${Units.count(report.peak_bytes)} bytes`],
      ["allocated", Units.size(report.allocated_bytes), report.allocations ? `${Units.size(report.allocated_bytes / report.allocations)} a call, in the mean` : "", `The sum of the sizes of all allocations: ${Units.count(report.allocated_bytes)} bytes`],
      ["allocations", Units.count(report.allocations), seconds ? `${Units.brief(report.allocations / seconds)} a second · ${Units.count(report.failed)} failed` : "", "Calls that gave a block. A realloc is one call"],
      ["live at end", Units.size(report.live_at_end_bytes), `${Units.count(report.live_at_end_bytes)} B in ${Units.count(report.live_at_end_blocks)} blocks`, "Not freed when the trace ended"],
      ["temporary", Units.count(report.temporary), `${Units.percent(report.temporary, report.allocations) || "0 %"} · grown ${Units.brief(report.grown)} · crossed ${Units.brief(report.crossed)}`, `Freed by the thread that made it, with at most ${report.temporary_threshold} other allocations of that thread in between. Grown: reallocated. Crossed: released by another thread`],
      ["lifetime, median", Units.span(lifetimes.median_ns), `90 % ${Units.span(lifetimes.p90_ns)} · longest ${Units.span(lifetimes.longest_ns)}`, "Time from allocation to release, of the blocks that were released: half of them lived no longer than this (the median), 90 % no longer than the second figure"],
    ];
    put(all);
  }

  function notes() {
    const { report, files } = Model.content;
    const found = Model.isPair ? Compare.notes() : report.notes.map(note => [note.text, note.command]);
    const all = found.map(([text, line]) => {
      const command = element("code", null, line);
      command.title = line;
      return element("li", null, brief(text), command);
    });
    byId("notes").replaceChildren(...(all.length ? all : [element("li", null, "Nothing.")]));
    if (Model.isPair) {
      const { names } = Model.content;
      byId("footer").replaceChildren("next: ", element("code", null, `mallook diff ${names.join(" ")}`), " · is it noise? ", element("code", null, "mallook diff A1,A2,A3 B1,B2,B3"), " · keys and words: ?");
      return;
    }
    const next = ["leaks", "timeline", "stats"].map(name => element("code", null, `mallook ${name} ${files}`));
    byId("footer").replaceChildren("next: ", next[0], " · ", next[1], " · ", next[2], " · keys and words: ?");
  }

  const KEYS = [
    ["/", "search functions, files, modules, threads"], ["1 … 6", "cost: at peak, allocated, calls, temporary, never freed, lifetime"],
    ["w  p  e  d", "whole run, at peak, at end, A↔B"], ["← →", "move the chosen range, or choose the next moment"],
    ["g", "next grouping of rows"], ["↑ ↓ Enter", "choose a row and look at it: of a function, the flame graph shows callers and callees"],
    ["f, Enter", "in the flame graph (Tab leads there, arrows move): focus, zoom"], ["x", "fold functions of libraries"], ["s", "flame graph, or sizes × lifetimes"],
    ["l", "light or dark"], ["Esc", "back: zoom, focus, search, range"],
  ];
  function help() {
    const dialog = byId("help");
    const row = ([name, text]) => element("tr", null, null, element("th", null, name), element("td", null, text));
    const words = [
      ...Object.values(Model.COSTS).map(cost => [cost.name, cost.title]),
      ["site", "the innermost function that belongs to no allocator and no standard library: who asks for memory, by itself"],
      ["function", "inclusive: what a function or anything that it calls asks for"],
      ["over time", "of each row, on its own scale: green is freed later, red never; grey are allocations"],
      ["A↔B", "what lives at B less what lives at A: red has grown, green has shrunk; boxes are as wide as what has changed"],
    ];
    const close = element("button", null, "close");
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(element("h2", null, "Keys"), element("table", null, null, ...KEYS.map(row)), element("h2", null, "Words"), element("table", null, null, ...words.map(row)), close);
    dialog.showModal();
  }

  const isDark = () => state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  function switchTheme() {
    state.theme = isDark() ? "light" : "dark";
    theme();
    redraw();
  }
  function redraw() {
    Chart.draw(chosen => change({ view: chosen }));
    show();
  }

  function step(by) {
    const view = Model.view(state.view), last = Model.slices - 1;
    if (view.span) {
      const [from, to] = view.span, move = Math.max(-from, by * Math.max(1, Math.round((to - from) / 4)));
      return change({ view: `time:${from + move}-${to + move}` });
    }
    if (view.kind === "range") {
      const move = Math.max(-view.from, Math.min(last - view.to, by));
      return change({ view: `range:${view.from + move}-${view.to + move}` });
    }
    const at = view.kind === "all" ? (by > 0 ? 0 : last) : Math.max(0, Math.min(last, view.at + by));
    change({ view: `at:${at}` });
  }

  function back() {
    if (Flame.reset()) return;
    const filters = Object.keys(state.filters).filter(kind => state.filters[kind] !== undefined);
    if (filters.length) return change({ filters: {} });
    if (state.search) { byId("search").value = ""; return change({ search: "" }); }
    if (state.skip) return change({ skip: 0 });
    change({ view: "all" });
  }

  const next = (all, one) => all[(all.indexOf(one) + 1) % all.length];
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target.id === "search") {
      if (event.key === "Escape") { event.target.value = ""; change({ search: "" }); event.target.blur(); }
      if (event.key === "Enter") byId("table-rows").focus();
      return;
    }
    const costs = Object.keys(Model.COSTS);
    const actions = {
      "/": () => byId("search").focus(), "?": help, l: switchTheme, Escape: back,
      w: () => time("all"), p: () => time(Model.isPair ? "all" : "peak"), e: () => time("end"), d: () => { if (!Model.isPair) time("diff"); },
      g: () => change({ group: next(groups(), state.group) }),
      x: () => { byId("fold").checked = !state.fold; change({ fold: !state.fold }); },
      s: () => { if (Model.hasStacks) change({ right: next(["flame", "heat"], state.right) }); },
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowDown: () => Table.move(1), ArrowUp: () => Table.move(-1),
    };
    const action = actions[event.key] || (costs[Number(event.key) - 1] && (() => change({ cost: costs[Number(event.key) - 1] })));
    if (!action) return;
    event.preventDefault();
    action();
  }

  function listen() {
    for (const button of byId("views").children) button.addEventListener("click", () => time(button.dataset.view));
    byId("groups").replaceChildren(...groups().map(group => {
      const button = element("button", null, Model.GROUPS[group]);
      button.dataset.group = group;
      button.addEventListener("click", () => change({ group }));
      return button;
    }));
    if (Model.isPair) {
      for (const button of byId("views").children) button.hidden = ["peak", "diff"].includes(button.dataset.view);
      byId("pers").replaceChildren(...Object.entries(PERS).map(([per, name]) => {
        const button = element("button", null, name);
        button.dataset.per = per;
        button.title = "Figures are divided by the allocations of the run, or by its seconds";
        button.addEventListener("click", () => { Model.setPer(per); figures(); change({ per }); });
        return button;
      }));
    }
    byId("pers").hidden = !Model.isPair;
    byId("rights").hidden = !Model.hasStacks;
    for (const button of byId("rights").children) button.addEventListener("click", () => change({ right: button.dataset.right }));
    byId("fold").addEventListener("change", event => change({ fold: event.target.checked }));
    let waiting;
    byId("search").addEventListener("input", event => {
      clearTimeout(waiting);
      waiting = setTimeout(() => change({ search: event.target.value.trim() }), 80);
    });
    byId("theme").addEventListener("click", switchTheme);
    byId("help-button").addEventListener("click", help);
    document.addEventListener("keydown", key);
    addEventListener("hashchange", () => { readAddress(); redraw(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    const fit = () => { Chart.resize(); Table.render(); Flame.layout(); };
    const observer = new ResizeObserver(fit);
    for (const panel of ["chart", "table-rows", "flame"]) observer.observe(byId(panel));
    const paper = isPaper => { Table.print(isPaper); redraw(); };
    addEventListener("beforeprint", () => paper(true));
    addEventListener("afterprint", () => paper(false));
    Table.start({ focus, isChosen, cost: cost => change({ cost }) });
    Flame.start({ focus: node => only("function", node.name) });
  }

  async function open() {
    try {
      await Model.read(byId("data").textContent);
      Serve.start(Model.content, isNew => { if (isNew) { header(); figures(); notes(); redraw(); } else show(); });
      byId("app").hidden = false;
      readAddress();
      listen();
      Serve.listen();
      header();
      figures();
      notes();
      redraw();
      Chart.legend();
      document.documentElement.dataset.ready = "yes";
      performance.mark("shown");
    } catch (error) {
      byId("app").hidden = true;
      byId("failure").hidden = false;
      byId("failure").textContent = `This page cannot be shown: ${error}`;
      throw error;
    }
  }
  open();
  return { state };
})();
