// Sizes by lifetimes: a cell a power of two and a power of ten.
const Heat = (() => {
  function show(state, view) {
    const { lives } = Model.content;
    const cost = state.cost === "peak" && view.kind !== "range" && view.kind !== "diff" ? "peak" : ["births", "temporary", "age"].includes(state.cost) ? "births" : "born";
    const sum = values => {
      let all = 0;
      for (let slice = view.from; slice <= Math.min(view.to, values.length - 1); slice += 1) all += values[slice];
      return all;
    };
    const of = row => cost === "peak" ? row.at_peak : sum(cost === "births" ? row.births : row.bytes);
    const sizes = [...new Set(lives.map(row => row.size))].sort((one, other) => one - other);
    const digits = lives.map(row => row.digits).filter(it => it !== null);
    const [low, high] = [Math.max(2, Math.min(...digits)), Math.max(...digits)];
    const columns = digits.length ? Array.from({ length: high - low + 1 }, (_, at) => low + at) : [];
    const values = new Map();
    let all = 0;
    for (const row of lives) {
      const value = of(row);
      const key = `${row.size} ${row.digits === null ? "never" : Math.max(low, row.digits)}`;
      values.set(key, (values.get(key) || 0) + value);
      all += value;
    }
    const most = Math.max(0, ...values.values());
    const head = element("tr", null, null, element("th", "size", "freed within"), ...columns.map(it => element("th", null, Units.span(10 ** it).replace(/\.0+ /, " "))), element("th", null, "never"));
    const body = sizes.reverse().map(size => {
      const name = size <= 1 ? `${size} B` : `to ${Units.size(size)}`;
      const row = element("tr", null, null, element("th", "size", name));
      for (const column of [...columns, "never"]) {
        const value = values.get(`${size} ${column}`) || 0;
        const cell = element("td", column === "never" ? "never" : null, value ? (cost === "births" ? Units.brief(value) : Units.short(value)) : "");
        // Half of the shades for the largest tenth.
        const share = most && value ? 0.06 + 0.94 * Math.max(0, 1 + Math.log10(value / most) / 4) : 0;
        if (value) {
          cell.style.background = `color-mix(in srgb, var(${column === "never" ? "--never" : "--live"}) ${Math.round(share * 85)}%, var(--panel))`;
          if (share > 0.75) cell.style.color = "var(--panel)";
        } else cell.style.background = "var(--back)";
        cell.dataset.tip = `${name}, ${column === "never" ? "never freed" : `freed within ${Units.span(10 ** column)}`}: ${cost === "births" ? `${Units.count(value)} allocations` : `${Units.count(value)} B`}, ${Units.percent(value, all) || "0 %"}`;
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
    byId("heat").replaceChildren(table);
    const what = { peak: "bytes that live at the peak of the run", births: "allocations", born: "allocated bytes" }[cost];
    const filtered = Object.values(state.filters).some(it => it !== undefined);
    byId("flame-note").textContent = what + (cost === "peak" || view.kind === "all" ? "" : ", born in the chosen time") + (filtered ? ", of all places" : "");
  }
  return { show };
})();
