// What the traces say: cells (a place, a thread, a class of sizes) with series over slices of time.
// Every view sums cells up.
const Model = (() => {
  const [BIRTHS, BORN, LEFT, DEATHS, AGE, TEMPORARY, TOP, END] = [0, 1, 2, 3, 4, 5, 6, 7];
  // The name, the title, and what a number of it looks like. The first one is live bytes at a moment.
  const COSTS = {
    peak: { name: "at peak", unit: "bytes", title: "Live bytes at the peak: the moment when most bytes lived. The shares add up to the peak." },
    born: { name: "allocated", unit: "bytes", title: "The sum of the sizes of all allocations, those that were freed included." },
    births: { name: "calls", unit: "count", title: "Calls that gave a block. A realloc is one call." },
    temporary: { name: "temporary", unit: "count", title: "Blocks freed by the thread that made them, with at most N other allocations of that thread in between; N is 0 unless --threshold said otherwise." },
    left: { name: "never freed", unit: "bytes", title: "Bytes allocated in the chosen time that were not freed when the trace ended." },
    age: { name: "lifetime", unit: "span", title: "Table: the mean time from allocation to release, of the blocks released in the chosen time. Flame graph: the sum of those times." },
  };
  const GROUPS = {
    site: "site", function: "function", place: "size and thread", size: "size", thread: "thread", module: "module", process: "process",
  };
  let content, cells, others, slices, threads, per = "none", divisors = [1, 1];

  async function inflate(text) {
    const digits = atob(text), bytes = new Uint8Array(digits.length);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = digits.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  }

  // How threads and programs start says nothing.
  const STARTS = new Set(["_start", "clone", "clone3", "start_thread", "__libc_start_main", "_dl_start_user"]);
  const isFoldable = number => { const [text, , , folded] = content.functions[number]; return Boolean(folded) || STARTS.has(content.texts[text]); };

  // Bytes are multiples of the unit of their cell.
  const spread = (row, count = slices) => row.series.map((values, place) => {
    const all = new Float64Array(count), unit = [BORN, LEFT, TOP, END].includes(place) ? row.unit : 1;
    values.slice(0, count - row.first).forEach((value, slice) => { all[row.first + slice] = value * unit; });
    return all;
  });

  const read = async text => load(await inflate(text));

  function load(all) {
    content = all.before ? Compare.join(all) : all;
    if (content.joint) setPer(content.per);
    slices = Math.max(1, content.tops.length);
    const name = number => content.texts[number];
    threads = content.threads.map(thread => {
      const process = thread.process === null ? null : content.processes[thread.process];
      const program = process ? name(process[0]) : "";
      return {
        tid: thread.tid,
        name: thread.tid ? `${name(thread.name) || program || "thread"} ${thread.tid}` : "[others]",
        process: process ? `${program} ${process[1]}` : "[others]",
      };
    });
    for (const stack of content.stacks) {
      stack.leaf = stack.functions[stack.blamed];
      stack.names = new Set(stack.functions.map(number => content.functions[number][0]));
      const own = stack.functions.filter(number => !isFoldable(number));
      stack.own = new Set((own.length ? own : stack.functions.slice(-1)).map(number => content.functions[number][0]));
    }
    if (content.joint) {
      // A run that has ended earlier has no slices there.
      slices = Math.max(...content.bothTops.map(it => it.length));
      const whole = values => { const all = new Float64Array(slices); all.set(values); return all; };
      const both = cell => cell.both.map(series => series ? series.map(whole) : Array.from({ length: 8 }, () => new Float64Array(slices)));
      cells = content.joint.map(cell => ({ ...cell, stack: cell.stack === null ? null : content.stacks[cell.stack], both: both(cell) }));
      cells = cells.filter(cell => !cell.isOthers || cell.both.some(series => series[BIRTHS].some(value => value)));
      cells.forEach(describe);
      return content;
    }
    cells = content.cells.map(row => {
      const stack = row.stack === null ? null : content.stacks[row.stack];
      return { ...row, stack, series: spread(row), thread: threads[row.thread] };
    });
    others = { stack: null, size: 0, is_class: true, thread: { name: "[others]", process: "[others]" }, series: spread(content.others), lived: content.others.lived, isOthers: true };
    if (content.more_cells || others.series[BIRTHS].some(value => value)) cells.push(others);
    cells.forEach(describe);
    return content;
  }

  // The keys of a cell in every grouping.
  function describe(cell) {
    const rest = `[${content.more_cells ? Units.count(content.more_cells) + " " : ""}others]`;
    const functionOf = number => {
      const [name, source, module] = content.functions[number];
      return { name: content.texts[name], source: content.texts[source], module: content.texts[module] };
    };
    cell.size_label = cell.isOthers ? rest
      : cell.is_class && cell.size > 1 ? `${Units.size(Math.floor(cell.size / 2) + 1)} to ${Units.size(cell.size)}`
        : Units.count(cell.size) + " B";
    const place = cell.isOthers ? rest : `${cell.size_label} in ${cell.thread.name}`;
    const leaf = cell.stack && cell.stack.functions.length ? functionOf(cell.stack.leaf) : null;
    cell.keys = {
      site: leaf ? `${leaf.name}\u0000${content.joint ? "" : leaf.source}` : place,
      place,
      size: cell.size_label,
      thread: cell.isOthers ? rest : cell.thread.name,
      module: leaf ? leaf.module || "[no module]" : cell.isOthers ? rest : "[no stack]",
      process: cell.isOthers ? rest : cell.thread.process,
    };
    const parts = [cell.size_label, cell.thread.name, cell.thread.process];
    if (cell.stack) {
      for (const number of cell.stack.functions) {
        const it = functionOf(number);
        parts.push(it.name, it.source, it.module);
      }
    }
    cell.text = parts.join("\n").toLowerCase();
  }

  // Slices from one to another, the latter included; `moment`: the first cost is what lives then.
  const whole = () => ({ kind: "all", from: 0, to: slices - 1, at: topOf(0, slices - 1), series: TOP });

  // The slice in which most lived.
  function topOf(from, to, tops = content.tops) {
    let best = from;
    for (let slice = from; slice <= Math.min(to, tops.length - 1); slice += 1) {
      if (tops[best] && tops[slice][0] > tops[best][0]) best = slice;
    }
    return best;
  }

  // The view of a state: `all`, `peak`, `end`, `range:A-B`, `at:A`, `diff:A-B` (slices; `p` is the peak).
  function view(text) {
    const found = content.joint ? ofBoth(ofOne(text)) : ofOne(text);
    return found;
  }

  // The same of two runs: the moment of each, which is behind its end if it is not there.
  function ofBoth(found) {
    if (found.kind === "peak" || found.kind === "diff") found = whole();
    const last = content.bothTops.map(tops => tops.length - 1);
    found.ats = content.bothTops.map((tops, side) => ({
      all: () => topOf(0, last[side], tops), end: () => last[side], at: () => found.at,
      range: () => topOf(found.from, Math.min(found.to, last[side]), tops),
    })[found.kind]());
    return found;
  }

  function ofOne(text) {
    let [kind, rest = ""] = text.split(":");
    if (kind === "time") {
      // A range in nanoseconds: of its own slices, or of those that there are until they are.
      const own = Serve.range(), [from, to] = rest.split("-").map(it => parseInt(it, 10) || 0);
      if (own && own[0] === from && own[1] === to) {
        const last = Math.max(1, Math.min(slices - 1, 1 + Math.floor((to - from) / content.width_ns)));
        return { kind: "range", from: 1, to: last, at: topOf(1, last), series: TOP, span: [from, to], isExact: true };
      }
      const slice = time => Math.max(0, Math.min(slices - 1, Math.floor(time / content.width_ns)));
      const found = { kind: "range", from: slice(from), to: slice(to), series: TOP, span: [from, to] };
      return from <= to ? { ...found, at: topOf(found.from, found.to) } : whole();
    }
    const number = part => part === "p" ? topOf(0, slices - 1) : Math.min(slices - 1, Math.max(0, parseInt(part, 10) || 0));
    const [one, other] = rest.split("-").map(number);
    const peak = topOf(0, slices - 1);
    if (kind === "range" && one <= other) return { kind, from: one, to: other, at: topOf(one, other), series: TOP };
    if (kind === "peak") return { kind, from: 0, to: peak, at: peak, series: TOP };
    if (kind === "end") return { kind, from: 0, to: slices - 1, at: slices - 1, series: END };
    if (kind === "at") return { kind, from: 0, to: one, at: one, series: END };
    if (kind === "diff" && one !== undefined && other !== undefined) {
      const first = rest.startsWith("p") ? TOP : END;
      return { kind, from: Math.min(one + 1, other), to: other, at: other, series: END, base: one, base_series: first };
    }
    return whole();
  }

  // A figure of a cell in a view.
  function costs(cell, view) {
    if (!cell.both) return costsOf(cell.series, view, view.at);
    const [before, after] = cell.both.map((series, side) => costsOf(series, view, view.ats[side]));
    return Compare.change(before, after, divisors);
  }
  function costsOf(series, view, at) {
    const sum = { peak: series[view.series][at] || 0, born: 0, births: 0, temporary: 0, left: 0, age: 0, deaths: 0 };
    if (view.kind === "diff") sum.peak -= series[view.base_series][view.base];
    const [births, born, left, deaths, age, temporary] = series;
    for (let slice = view.from; slice <= view.to; slice += 1) {
      sum.births += births[slice];
      sum.born += born[slice];
      sum.left += left[slice];
      sum.deaths += deaths[slice];
      sum.age += age[slice];
      sum.temporary += temporary[slice];
    }
    return sum;
  }

  const KEYS = ["peak", "born", "births", "temporary", "left", "age", "deaths"];
  const zeros = () => Object.fromEntries(KEYS.map(key => [key, 0]));
  const nothing = () => content.joint ? { ...zeros(), sides: [zeros(), zeros()] } : zeros();
  const add = (sum, more) => {
    for (const key of KEYS) sum[key] += more[key];
    if (more.sides) more.sides.forEach((side, at) => { for (const key of KEYS) sum.sides[at][key] += side[key]; });
  };
  function setPer(chosen) {
    per = chosen;
    divisors = Compare.divisors(content, per);
  }

  // Cells that pass all filters but those of some kinds, with their costs in a view.
  function select(view, filters, except = []) {
    const kinds = Object.keys(filters).filter(kind => filters[kind] !== undefined && !except.includes(kind));
    const name = kinds.includes("function") ? content.texts.indexOf(filters.function) : 0;
    const passes = cell => kinds.every(kind => kind === "function" ? cell.stack && cell.stack.names.has(name) : cell.keys[kind] === filters[kind]);
    return cells.filter(passes).map(cell => ({ cell, costs: costs(cell, view) }));
  }

  // Rows of a table. With `function`, costs are inclusive: a cell counts for each function of its stack.
  function group(chosen, by, isFolded) {
    const rows = new Map();
    const put = (key, label, source, one) => {
      let row = rows.get(key);
      if (!row) {
        row = { key, label, source, costs: nothing(), cells: [], isOthers: one.cell.isOthers, size: one.cell.size };
        rows.set(key, row);
      }
      add(row.costs, one.costs);
      row.cells.push(one.cell);
    };
    for (const one of chosen) {
      const { cell } = one;
      if (by === "function" && cell.stack) {
        for (const name of isFolded ? cell.stack.own : cell.stack.names) put(content.texts[name], content.texts[name], "", one);
        continue;
      }
      const key = cell.keys[by === "function" ? "site" : by];
      const [label, source = ""] = key.split("\u0000");
      put(key, label, source, one);
    }
    return [...rows.values()];
  }

  const total = chosen => {
    const sum = nothing();
    chosen.forEach(one => add(sum, one.costs));
    return sum;
  };

  // Of a row, for its sparkline: live, never freed of that, births.
  function spark(row) {
    if (row.spark) return row.spark;
    if (content.joint) {
      const live = [0, 1].map(() => new Float64Array(slices));
      for (const cell of row.cells) cell.both.forEach((series, side) => series[TOP].forEach((value, slice) => { live[side][slice] += value; }));
      row.spark = { both: live };
      return row.spark;
    }
    const live = new Float64Array(slices), never = new Float64Array(slices), births = new Float64Array(slices);
    for (const cell of row.cells) {
      const [born, , left, , , , top] = cell.series;
      for (let slice = 0; slice < slices; slice += 1) {
        live[slice] += top[slice];
        never[slice] += left[slice];
        births[slice] += born[slice];
      }
    }
    for (let slice = 1; slice < slices; slice += 1) never[slice] += never[slice - 1];
    for (let slice = 0; slice < slices; slice += 1) never[slice] = Math.min(never[slice], live[slice]);
    row.spark = { live, never, births };
    // Of a range that was asked for, the first and the last slice are what is outside.
    const own = Serve.range();
    if (own) {
      const last = Math.min(slices - 1, 1 + Math.floor((own[1] - own[0]) / content.width_ns));
      for (const [kind, series] of Object.entries(row.spark)) row.spark[kind] = series.subarray(1, last + 1);
    }
    return row.spark;
  }

  function value(costs, cost) {
    if (costs.sides && cost === "age") return value(costs.sides[1], cost) - value(costs.sides[0], cost);
    return cost === "age" ? (costs.deaths ? costs.age / costs.deaths : 0) : costs[cost];
  }
  // A number says what has changed, and may be negative.
  const isChange = (view, cost) => Boolean(content.joint) || (view.kind === "diff" && cost === "peak");
  function show(number, cost, isDifference) {
    const sign = isDifference && number > 0 ? "+" : "";
    if (cost === "age") return number ? sign + Units.span(number) : "–";
    return sign + (COSTS[cost].unit === "bytes" ? Units.short(number) : Units.brief(number));
  }
  // The same with all digits.
  const exact = (number, cost) => cost === "age" ? Units.span(number) : Units.count(number) + (COSTS[cost].unit === "bytes" ? " B" : "");

  return {
    COSTS, GROUPS, read, load, spread, setPer, isChange, view, select, group, total, spark, value, show, exact,
    get content() { return content; },
    get slices() { return slices; },
    get isPair() { return Boolean(content.joint); },
    get per() { return per; },
    get divisors() { return divisors; },
    get hasStacks() { return content.report.has_stacks && content.stacks.length > 0; },
    isFoldable,
    functionAt: number => content.functions[number],
    text: number => content.texts[number],
  };
})();
