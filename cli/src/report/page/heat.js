// Sizes by lifetimes: a cell a power of two and a power of ten.
const Heat = (() => {
  // The sums by size and lifetime, and what they are of.
  function sums(chosen, state, view) {
    const { lives } = Model.content;
    const isFiltered = Object.values(state.filters).some(it => it !== undefined) || state.search !== "";
    const isRange = view.kind === "range" || view.kind === "diff";
    const cost = ["births", "temporary", "age"].includes(state.cost) ? "births" : state.cost === "peak" && !isRange ? "peak" : "born";
    const words = { peak: "bytes that live at the peak of the run", births: "allocations", born: "allocated bytes" }[cost];
    const part = isFiltered ? "chosen rows: " : "";
    // Of a range, all rows together are known over time; each row is for the whole run, or for the range
    // that a server was asked for.
    const isOverTime = !Model.isPair && !view.isExact && view.kind !== "all" && cost !== "peak";
    if (isOverTime && !isFiltered) {
      const sum = values => {
        let all = 0;
        for (let slice = view.from; slice <= Math.min(view.to, values.length - 1); slice += 1) all += values[slice];
        return all;
      };
      return { cost, rows: lives.map(row => [row.size, row.digits, sum(cost === "births" ? row.births : row.bytes)]), note: `${words}, born in the chosen time` };
    }
    const place = { births: 2, born: 3, peak: 4 }[cost], find = state.search.toLowerCase();
    const cells = chosen.filter(({ cell }) => !find || cell.text.includes(find));
    const by = Model.divisors;
    const rows = cells.flatMap(({ cell }) => Model.isPair
      ? cell.lived.flatMap((lived, side) => lived.map(row => [row[0], row[1], (side ? 1 : -1) * row[place] / by[side]]))
      : cell.lived.map(row => [row[0], row[1], row[place]]));
    const time = Model.isPair ? " (B less A, whole runs)" : isOverTime ? ", of the whole run" : view.isExact ? ", born in the chosen time" : "";
    return { cost, rows, note: part + words + time };
  }

  function show(chosen, state, view) {
    const { cost, rows, note } = sums(chosen, state, view);
    const lives = rows.map(([size, digits, value]) => ({ size, digits, value })).filter(row => row.value);
    const of = row => row.value;
    const sizes = [...new Set(lives.map(row => row.size))].sort((one, other) => one - other);
    const digits = lives.map(row => row.digits).filter(it => it !== null);
    const [low, high] = [Math.max(2, Math.min(...digits)), Math.max(2, ...digits)];
    const columns = digits.length ? Array.from({ length: high - low + 1 }, (_, at) => low + at) : [];
    const values = new Map();
    let all = 0;
    for (const row of lives) {
      const value = of(row);
      const key = `${row.size} ${row.digits === null ? "never" : Math.max(low, row.digits)}`;
      values.set(key, (values.get(key) || 0) + value);
      all += Math.abs(value);
    }
    const most = Math.max(0, ...[...values.values()].map(Math.abs));
    const head = element("tr", null, null, element("th", "size", "freed within"), ...columns.map(it => element("th", null, Units.span(10 ** it).replace(/\.0+ /, " "))), element("th", null, "never"));
    const body = sizes.reverse().map(size => {
      const name = size <= 1 ? `${size} B` : `to ${Units.size(size)}`;
      const row = element("tr", null, null, element("th", "size", name));
      for (const column of [...columns, "never"]) {
        const value = values.get(`${size} ${column}`) || 0;
        const cell = element("td", column === "never" ? "never" : null, value ? (Model.isPair && value > 0 ? "+" : "") + (cost === "births" ? Units.brief(value) : Units.short(value)) : "");
        // Half of the shades for the largest tenth.
        const share = most && value ? 0.06 + 0.94 * Math.max(0, 1 + Math.log10(Math.abs(value) / most) / 4) : 0;
        if (value) {
          cell.style.background = `color-mix(in srgb, var(${Model.isPair ? (value > 0 ? "--never" : "--later") : column === "never" ? "--never" : "--live"}) ${Math.round(share * 85)}%, var(--panel))`;
          if (share > 0.75) cell.style.color = "var(--panel)";
        } else cell.style.background = "var(--back)";
        cell.dataset.tip = `${name}, ${column === "never" ? "never freed" : `freed within ${Units.span(10 ** column)}`}: ${cost === "births" ? `${Units.count(value)} allocations` : `${Units.count(value)} B`}${Model.isPair ? "" : `, ${Units.percent(value, all) || "0 %"}`}`;
        row.append(cell);
      }
      return row;
    });
    const table = element("table", null, null, element("thead", null, null, head), element("tbody", null, null, ...body));
    table.addEventListener("mousemove", event => {
      const text = event.target.dataset && event.target.dataset.tip;
      if (text) Tip.show(event, [["", text]]); else Tip.hide();
    });
    table.addEventListener("mouseleave", Tip.hide);
    table.style.height = `min(100%, ${20 + 40 * sizes.length}px)`;
    byId("heat").replaceChildren(table);
    if (!lives.length) byId("heat").replaceChildren(element("p", "empty", "nothing in this view"));
    byId("flame-note").textContent = note;
  }
  return { show };
})();
