// The table: a row a site, a size, …; sorted by cost, with a sparkline in every row. Only rows that are
// seen exist.
const Table = (() => {
  const HEIGHT = 24;
  const COLUMNS = ["peak", "born", "births", "temporary", "left", "age"];
  let rows = [], state, on, whole = {}, currentRow = 0, printed = 0, columns = [], sorted = "change";

  function start(handlers) {
    on = handlers;
    const body = byId("table-rows");
    body.addEventListener("scroll", render);
    body.addEventListener("keydown", key);
    body.addEventListener("click", event => {
      const row = event.target.closest(".row");
      if (row) choose(Number(row.dataset.number));
    });
  }

  // The columns of numbers: the costs of a run; or one cost of two runs, and how it has changed.
  function columnsOf(view) {
    if (!Model.isPair) {
      return COLUMNS.map(cost => ({
        id: cost, name: cost === "peak" ? firstName(view) : Model.COSTS[cost].name, title: Model.COSTS[cost].title,
        isSorted: cost === state.cost, isChange: Model.isChange(view, cost), cost, click: () => on.cost(cost),
        of: row => Model.value(row.costs, cost),
      }));
    }
    const cost = state.cost, of = side => row => Model.value(row.costs.sides[side], cost);
    const change = row => Model.value(row.costs, cost);
    const percent = row => of(0)(row) ? 100 * change(row) / of(0)(row) : 0;
    const name = cost === "peak" ? firstName(view) : Model.COSTS[cost].name;
    const column = (id, label, title, number, more) => ({ id, name: label, title, cost, of: number, isSorted: sorted === id, click: () => { sorted = id; on.cost(cost); }, ...more });
    return [
      column("a", `A: ${name}`, `Of ${Model.content.names[0]}`, of(0)),
      column("b", `B: ${name}`, `Of ${Model.content.names[1]}`, of(1)),
      column("change", "change", "B less A", change, { isChange: true }),
      column("percent", "percent", "The change in percent of A", percent, { isChange: true, show: (value, row) => value ? `${value > 0 ? "+" : "−"}${Math.abs(value) < 99999.5 ? `${Math.abs(value).toFixed(1)} %` : "…"}` : of(1)(row) && !of(0)(row) ? "new" : "–" }),
    ];
  }

  function choose(number) {
    currentRow = number;
    if (rows[number]) on.focus(rows[number]);
  }

  function head(view) {
    const cells = [element("span", null, ""), element("span", null, "over time")];
    cells[0].textContent = Model.GROUPS[state.group];
    for (const column of columns) {
      const button = element("button", null, column.name);
      button.title = column.title;
      button.dataset.cost = column.id;
      if (column.isSorted) button.setAttribute("aria-sort", "descending");
      button.addEventListener("click", column.click);
      cells.push(button);
    }
    const body = byId("table-rows");
    byId("table-head").style.paddingRight = `${8 + body.offsetWidth - body.clientWidth}px`;
    byId("table-head").replaceChildren(...cells);
  }

  // The name of the first cost in a view.
  const firstName = view => ({ all: "at peak", range: "at its peak", peak: "at peak", end: "at end", at: "live then", diff: "change" })[view.kind];

  function show(all, sums, newState, view) {
    state = newState;
    whole = sums;
    columns = columnsOf(view);
    byId("table").classList.toggle("pair", Model.isPair);
    const first = columns.find(column => column.isSorted);
    const order = row => first.isChange ? Math.abs(first.of(row)) : first.of(row);
    const words = state.search.toLowerCase();
    const matches = row => !words || row.label.toLowerCase().includes(words) || row.source.toLowerCase().includes(words)
      || row.cells.some(cell => state.group !== "function" && cell.text.includes(words));
    const isThere = costs => Object.entries(costs).some(([kind, value]) => kind === "sides" ? value.some(isThere) : value !== 0);
    rows = all.filter(row => isThere(row.costs) && matches(row));
    rows.sort((one, other) => order(other) - order(one) || other.costs.born - one.costs.born);
    // The rest comes last, whatever it is.
    rows = rows.filter(row => !row.isOthers).concat(rows.filter(row => row.isOthers));
    currentRow = Math.min(currentRow, Math.max(0, rows.length - 1));
    const note = `${Units.count(rows.length)} row${rows.length === 1 ? "" : "s"}` + (words && all.length !== rows.length ? ` of ${Units.count(all.length)}` : "");
    byId("table-note").textContent = note;
    head(view);
    state.view_kind = view.kind;
    byId("table-space").style.height = `${rows.length * HEIGHT}px`;
    render();
  }

  function render() {
    const body = byId("table-rows");
    const first = printed ? 0 : Math.max(0, Math.floor(body.scrollTop / HEIGHT) - 2);
    const count = printed || Math.ceil(body.clientHeight / HEIGHT) + 4;
    const last = Math.min(rows.length, first + count);
    const made = [];
    for (let number = first; number < last; number += 1) made.push(rowElement(number));
    byId("table-space").replaceChildren(...made);
    for (const row of made) sparkline(row.querySelector("canvas"), rows[Number(row.dataset.number)]);
  }

  function rowElement(number) {
    const row = rows[number];
    const made = element("div", "row");
    made.setAttribute("role", "row");
    made.dataset.number = number;
    made.style.top = `${number * HEIGHT}px`;
    if (on.isChosen(row)) made.classList.add("chosen");
    if (number === currentRow) made.classList.add("current");
    const place = element("div", "place");
    // A place that is too long is shortened in the middle: its end does not shrink.
    const label = brief(row.label), end = label.length > 26 ? label.length - 16 : label.length;
    if (row.isOthers) place.classList.add("others");
    place.append(element("span", "start", label.slice(0, end)), element("span", "end", label.slice(end)));
    if (row.source) place.append(element("span", "source", row.source.split("/").pop()));
    place.title = row.source ? `${row.label}\n${row.source}` : row.label;
    made.append(place, element("canvas"));
    for (const column of columns) {
      const { cost, isChange } = column, value = column.of(row);
      const cell = element("span", "cost", column.show ? column.show(value, row) : value ? Model.show(value, cost, isChange) : "–");
      if (!value) cell.classList.add("zero");
      else if (isChange) cell.classList.add(value > 0 ? "plus" : "minus");
      const sum = Model.isPair ? (column.id === "a" || column.id === "b" ? whole.sides[column.id === "a" ? 0 : 1][cost] : 0) : whole[cost];
      if (column.isSorted) {
        cell.classList.add("sorted");
        const most = cost === "age" || isChange || !sum ? Math.max(...rows.map(it => Math.abs(column.of(it)))) : sum;
        cell.style.setProperty("--part", `${most ? Math.min(100, 100 * Math.abs(value) / most) : 0}%`);
      }
      const share = sum && cost !== "age" && !isChange ? `, ${Units.percent(value, sum)}` : "";
      cell.title = `${column.name}: ${column.id === "percent" ? cell.textContent : Model.exact(value, cost)}${share}`;
      made.append(cell);
    }
    return made;
  }

  function sparkline(canvas, row) {
    const width = 96, height = 20;
    const context = prepare(canvas, width, height);
    const { live, never, births, both } = Model.spark(row);
    if (both) return lines(canvas, context, both, width, height);
    const count = live.length;
    const most = Math.max(...live), mostBirths = Math.max(...births);
    const x = slice => slice * width / count, step = width / count;
    context.fillStyle = color("--births");
    for (let slice = 0; slice < count; slice += 1) {
      const high = mostBirths ? births[slice] / mostBirths * height * 0.5 : 0;
      if (high) context.fillRect(x(slice), height - Math.max(1, high), Math.max(step, 0.7), Math.max(1, high));
    }
    const area = (series, name) => {
      context.fillStyle = color(name);
      context.beginPath();
      context.moveTo(0, height);
      for (let slice = 0; slice < count; slice += 1) {
        const high = series[slice] ? Math.max(0.8, series[slice] / most * (height - 1)) : 0;
        context.lineTo(x(slice), height - high);
        context.lineTo(x(slice + 1), height - high);
      }
      context.lineTo(width, height);
      context.fill();
    };
    area(live, "--later");
    area(never, "--never");
    canvas.title = `own scale, up to ${Units.size(most)}: green is freed later, red never; grey: allocations`;
  }

  // Of two runs: A brown, B blue.
  function lines(canvas, context, both, width, height) {
    const most = Math.max(1, ...both.flatMap(series => [...series]));
    both.forEach((series, side) => {
      context.strokeStyle = color(side ? "--live" : "--old");
      context.lineWidth = side ? 1.4 : 1;
      context.beginPath();
      series.forEach((value, slice) => {
        const y = height - 0.7 - value / most * (height - 2), step = width / series.length;
        context.lineTo(slice * step, y);
        context.lineTo((slice + 1) * step, y);
      });
      context.stroke();
    });
    canvas.title = `own scale, up to ${Units.size(most)}: A brown, B blue`;
  }

  function key(event) {
    const page = Math.max(1, Math.floor(byId("table-rows").clientHeight / HEIGHT) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length };
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") choose(currentRow);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function move(by) {
    currentRow = Math.min(rows.length - 1, Math.max(0, currentRow + by));
    const body = byId("table-rows"), top = currentRow * HEIGHT;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + HEIGHT > body.scrollTop + body.clientHeight) body.scrollTop = top + HEIGHT - body.clientHeight;
    render();
  }

  // On paper there are the first rows and no scrolling.
  function print(isPrinted) {
    printed = isPrinted ? 40 : 0;
    byId("table-space").style.height = `${(isPrinted ? Math.min(rows.length, 40) : rows.length) * HEIGHT}px`;
    render();
  }

  return { start, show, render, move, print, firstName, get rows() { return rows; } };
})();
