// Two runs on one page: the same place of both is one cell, with the series of each. Places are the same
// if their functions have the same names, so that programs that were built again can be compared.
const Compare = (() => {
  const KEYS = ["peak", "born", "births", "temporary", "left", "age", "deaths"];
  const [TOP, END] = [6, 7];

  // Slices of one run, joined so that they are as wide as those of the other one.
  function joined(series, tops, factor) {
    const count = Math.ceil(tops.length / factor);
    return series.map((values, kind) => {
      const all = new Float64Array(count);
      for (let slice = 0; slice < count; slice += 1) {
        const from = slice * factor, to = Math.min(tops.length, from + factor) - 1;
        if (kind === TOP) {
          let best = from;
          for (let it = from; it <= to; it += 1) if (tops[it][0] > tops[best][0]) best = it;
          all[slice] = values[best];
        } else if (kind === END) all[slice] = values[to];
        else for (let it = from; it <= to; it += 1) all[slice] += values[it];
      }
      return all;
    });
  }
  const joinedTops = (tops, factor) => Array.from({ length: Math.ceil(tops.length / factor) }, (_, slice) =>
    tops.slice(slice * factor, (slice + 1) * factor).reduce((one, other) => other[0] > one[0] ? other : one));

  // Numbers of texts, functions and stacks that both runs have in common.
  function tables() {
    const texts = [], functions = [], stacks = [], numbers = new Map();
    const put = (all, key, value) => {
      if (!numbers.has(key)) { numbers.set(key, all.length); all.push(value); }
      return numbers.get(key);
    };
    const text = value => put(texts, `t${value}`, value);
    text("");
    function stack(content, row) {
      const names = row.functions.map(number => content.texts[content.functions[number][0]]);
      return put(stacks, `s${names.join("\n")}`, {
        blamed: row.blamed,
        functions: row.functions.map(number => {
          const [name, source, module, folded] = content.functions[number];
          const [one, two] = [text(content.texts[name]), text(content.texts[module])];
          // The line of a function moves when its file is changed.
          return put(functions, `f${one} ${two}`, [one, text(content.texts[source]), two, folded]);
        }),
      });
    }
    return { texts, functions, stacks, stack };
  }

  // One content of both, and the cells of it.
  function join(all) {
    const runs = [all.before, all.after];
    const width = Math.max(...runs.map(it => it.width_ns));
    const factors = runs.map(it => width / it.width_ns);
    const tops = runs.map((it, side) => joinedTops(it.tops.length ? it.tops : [[0, 0]], factors[side]));
    const shared = tables(), cells = new Map();
    runs.forEach((content, side) => {
      const own = content.tops.length ? content.tops : [[0, 0]];
      const name = number => content.texts[number];
      const series = row => joined(Model.spread(row, own.length), own, factors[side]);
      const put = (key, cell, row) => {
        const found = cells.get(key) || { ...cell, both: [null, null], lived: [[], []] };
        cells.set(key, found);
        const more = series(row), before = found.both[side];
        found.both[side] = before ? more.map((values, kind) => values.map((value, at) => value + before[kind][at])) : more;
        found.lived[side].push(...row.lived);
      };
      for (const row of content.cells) {
        const thread = content.threads[row.thread];
        const process = thread.process === null ? null : content.processes[thread.process];
        const program = process ? name(process[0]) : "[others]";
        const of = { name: thread.tid ? name(thread.name) || program || "thread" : "[others]", process: program };
        const stack = row.stack === null ? null : shared.stack(content, content.stacks[row.stack]);
        const key = [stack, row.size, row.is_class, of.name, of.process].join("\n");
        put(key, { stack, size: row.size, is_class: row.is_class, thread: of }, row);
      }
      put("others", { stack: null, size: 0, is_class: true, thread: { name: "[others]", process: "[others]" }, isOthers: true }, content.others);
    });
    return {
      ...all.after, ...shared, width_ns: width, names: all.names, per: all.per, isMoment: all.is_moment,
      reports: runs.map(it => it.report), bothTops: tops, joint: [...cells.values()],
      tops: tops[1].length >= tops[0].length ? tops[1] : tops[0],
      more_cells: Math.max(...runs.map(it => it.more_cells)),
    };
  }

  // What the figures of each run are divided by.
  const divisors = (content, per) => content.reports.map(({ allocations, duration_ns }) =>
    ({ call: allocations, second: duration_ns / 1e9 })[per] || 1);

  // The change of all costs, with those of both runs.
  function change(before, after, [one, other]) {
    const scaled = (costs, by) => Object.fromEntries(KEYS.map(key => [key, costs[key] / by]));
    const sides = [scaled(before, one), scaled(after, other)];
    return { ...Object.fromEntries(KEYS.map(key => [key, sides[1][key] - sides[0][key]])), sides };
  }

  // The figures of both runs, and what stands out.
  function cards() {
    const { reports } = Model.content, by = Model.divisors;
    const per = { call: ", an allocation", second: ", a second" }[Model.per] || "";
    const card = (name, of, show, title, isDivided = true) => {
      const [one, other] = reports.map((report, side) => of(report) / (isDivided ? by[side] : 1));
      const difference = other - one, percent = one ? `${difference > 0 ? "+" : difference < 0 ? "−" : "±"}${Math.abs(100 * difference / one).toFixed(1)} %` : other ? "new" : "";
      return [name + (isDivided ? per : ""), `${difference > 0 ? "+" : ""}${show(difference)}`, `${show(one)} → ${show(other)}${percent ? ` · ${percent}` : ""}`, title, difference];
    };
    const isCall = Model.per === "call";
    return [
      card("peak", it => it.peak_bytes, Units.size, "The largest live size of each run, and how it has changed"),
      card("allocated", it => it.allocated_bytes, Units.size, "The sum of the sizes of all allocations"),
      card("allocations", it => it.allocations, Units.count, "Calls that gave a block", !isCall),
      card("live at end", it => it.live_at_end_bytes, Units.size, "Not freed when the trace ended, or at the moment that was named"),
      card("temporary", it => it.temporary, Units.count, "Freed at once by the thread that made it"),
      card("time", it => it.duration_ns, value => (value < 0 ? "−" : "") + Units.span(Math.abs(value)), "From the start of the first process to the last event", false),
    ];
  }

  function notes() {
    const { reports, names } = Model.content, found = [];
    reports.forEach((report, side) => {
      if (!report.complete) found.push([`${"AB"[side]} is not complete: its figures cover the events that are there`, `mallook info ${names[side]}`]);
    });
    const view = Model.view(Model.content.isMoment ? "end" : "all");
    const rows = Model.group(Model.select(view, {}), Model.hasStacks ? "site" : "size", true).filter(row => !row.isOthers);
    rows.sort((one, other) => other.costs.peak - one.costs.peak);
    const sentence = (row, word) => {
      const [one, other] = row.costs.sides;
      return `${brief(row.label)} ${word} by ${Units.size(Math.abs(row.costs.peak))} ${view.kind === "end" ? "at the end" : "at the peak"}: ${Units.size(one.peak)} → ${Units.size(other.peak)}`;
    };
    const command = `mallook diff ${names.join(" ")}`;
    rows.slice(0, 2).filter(row => row.costs.peak > 0).forEach(row => found.push([sentence(row, "grew"), command]));
    rows.reverse().slice(0, 2).filter(row => row.costs.peak < 0).forEach(row => found.push([sentence(row, "shrank"), command]));
    const [one, other] = reports.map(it => it.duration_ns);
    if (Math.max(one, other) > 1.5 * Math.min(one, other)) found.push([`One run took ${(Math.max(one, other) / Math.max(1, Math.min(one, other))).toFixed(1)} times as long as the other: figures a second may say more`, `${command} --per second`]);
    return found.slice(0, 5);
  }

  return { join, divisors, change, cards, notes };
})();
