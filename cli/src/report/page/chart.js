// Live bytes over time: the least and the most of each interval, births behind, the peak as a point.
const Chart = (() => {
  let plot, choose, interval, current;

  function sizes(max) {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];
    let unit = 1;
    while (max / unit >= 1000) unit *= 1024;
    const step = steps.find(it => max / unit / it <= 5 && it * unit >= 1) || 500;
    const splits = [];
    for (let at = 0; at <= max; at += step * unit) splits.push(at);
    return splits;
  }

  const axis = { stroke: () => color("--dim"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };

  // Options of one run and of two.
  function shared(end, most, right, above) {
    return {
      width: 600, height: 150, legend: { show: false }, padding: [14, right, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
      scales: { x: { time: false, range: [0, end] }, y: { range: [0, most * 1.06] } },
      axes: [
        { ...axis, size: 24, gap: 2, values: (_, splits) => splits.map(it => it === 0 ? "0" : Units.span(it)), splits: (_u, _i, low, high) => times(low, high) },
        { ...axis, size: 62, gap: 4, values: (_, splits) => splits.map(Units.size), splits: (_u, _i, _l, high) => sizes(high) },
      ],
      hooks: { drawClear: [pauses], draw: [...above, named, moments], setSelect: [select], setCursor: [legend] },
    };
  }

  function draw(onChoose) {
    choose = onChoose;
    if (Model.isPair) return drawBoth();
    const { report } = Model.content;
    const { timeline } = report;
    interval = timeline.interval_ns;
    const count = timeline.max_bytes.length;
    const x = Array.from({ length: count }, (_, at) => (at + 0.5) * interval);
    // Births a second, of so many intervals together that the line is calm.
    const step = Math.max(1, Math.round(count / 250));
    const rate = new Array(count);
    for (let at = 0; at < count; at += step) {
      const end = Math.min(count, at + step);
      let births = 0;
      for (let it = at; it < end; it += 1) births += timeline.births[it];
      rate.fill(births * 1e9 / ((end - at) * interval), at, end);
    }
    const end = Math.max(report.duration_ns, count * interval * 0.5, 1);
    const most = Math.max(report.peak_bytes, 1);
    const line = { points: { show: false } };
    const stepped = uPlot.paths.stepped({ align: 1 });
    const options = shared(end, most, 8, [u => peak(u, report, "peak")]);
    options.scales.births = { range: (_, low, high) => [0, (high || 1) * 1.02] };
    options.axes.push({ ...axis, scale: "births", side: 1, size: 50, gap: 4, grid: { show: false }, values: (_, splits) => splits.map(it => it ? Units.brief(it) + "/s" : ""), space: 40 });
    options.series = [
      {},
      { ...line, scale: "births", paths: stepped, width: 0, fill: () => color("--births") },
      { ...line, scale: "y", stroke: () => color("--live"), width: 1.4 },
      { ...line, scale: "y", stroke: () => color("--live"), width: 0.6, fill: () => `${color("--live")}2c` },
    ];
    options.bands = [{ series: [2, 3], fill: () => color("--band") }];
    put(options, [x, rate, timeline.max_bytes, timeline.min_bytes]);
  }

  // Both runs over the time since their starts: A brown, B blue.
  function drawBoth() {
    const { reports } = Model.content;
    interval = Math.max(...reports.map(it => it.timeline.interval_ns));
    const joined = (values, factor, of) => Array.from({ length: Math.ceil(values.length / factor) }, (_, at) => of(...values.slice(at * factor, (at + 1) * factor)));
    const lines = reports.flatMap(({ timeline }) => {
      const factor = interval / timeline.interval_ns;
      return [joined(timeline.max_bytes, factor, Math.max), joined(timeline.min_bytes, factor, Math.min)];
    });
    const count = Math.max(...lines.map(it => it.length));
    const x = Array.from({ length: count }, (_, at) => (at + 0.5) * interval);
    const data = lines.map(line => x.map((_, at) => at < line.length ? line[at] : null));
    const end = Math.max(...reports.map(it => it.duration_ns), count * interval * 0.5, 1);
    const most = Math.max(1, ...reports.map(it => it.peak_bytes));
    const line = (name, width, isFilled) => ({ points: { show: false }, scale: "y", stroke: () => color(name), width, ...(isFilled ? { fill: () => `${color(name)}1c` } : {}) });
    const options = shared(end, most, 14, reports.map((report, side) => u => peak(u, report, "AB"[side], side ? "--live" : "--old")));
    options.series = [{}, line("--old", 1.4), line("--old", 0.6, true), line("--live", 1.4), line("--live", 0.6, true)];
    options.bands = [{ series: [1, 2], fill: () => `${color("--old")}55` }, { series: [3, 4], fill: () => color("--band") }];
    put(options, [x, ...data]);
  }

  function put(options, data) {
    const panel = byId("chart");
    panel.replaceChildren();
    plot = new uPlot(options, data, panel);
    plot.over.addEventListener("mousedown", () => { dragged = false; });
    plot.over.addEventListener("click", click);
    resize();
  }

  // Round times.
  const STEPS = [];
  for (let unit = 1; unit < 60e9; unit *= 10) STEPS.push(...[1, 2, 5].map(it => it * unit).filter(it => it < 60e9));
  STEPS.push(...[1, 2, 5, 10, 20, 30, 60, 120, 360, 720, 1440, 2880, 10080].map(it => it * 60e9));
  function times(low, high) {
    const step = STEPS.find(it => (high - low) / it <= 9) || high;
    return Array.from({ length: Math.floor(high / step) + 1 }, (_, at) => at * step);
  }

  function resize() {
    const panel = byId("chart");
    if (plot && panel.clientWidth) {
      plot.setSize({ width: panel.clientWidth, height: panel.clientHeight });
      mark(current);
    }
  }

  function peak(u, report, name, ink = "--peak") {
    if (!report.peak_bytes) return;
    const { ctx } = u, ratio = devicePixelRatio || 1;
    const [x, y] = [u.valToPos(report.peak_time_ns, "x", true), u.valToPos(report.peak_bytes, "y", true)];
    const text = `${name} ${Units.size(report.peak_bytes)} after ${Units.span(report.peak_time_ns)}`;
    ctx.save();
    ctx.fillStyle = color(ink);
    ctx.beginPath();
    ctx.arc(x, y, 4 * ratio, 0, 7);
    ctx.fill();
    ctx.font = `600 ${11.5 * ratio}px system-ui, sans-serif`;
    const width = ctx.measureText(text).width;
    const right = x + 8 * ratio + width < u.bbox.left + u.bbox.width;
    ctx.textBaseline = "middle";
    ctx.fillText(text, right ? x + 8 * ratio : x - 8 * ratio - width, Math.max(y - 5 * ratio, 8 * ratio));
    ctx.restore();
  }

  // A dashed line at a time, with its name to the left or to the right.
  function rule(u, time, name, ink, y, isRight) {
    const { ctx } = u, ratio = devicePixelRatio || 1, x = u.valToPos(time, "x", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = color(ink);
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, u.bbox.top);
    ctx.lineTo(x, u.bbox.top + u.bbox.height);
    ctx.stroke();
    ctx.font = `700 ${12 * ratio}px system-ui, sans-serif`;
    const width = ctx.measureText(name).width;
    ctx.fillText(name, isRight ? x + 4 * ratio : x - 4 * ratio - width, y);
    ctx.restore();
    return x + width + 12 * ratio;
  }

  // Shades where recording paused.
  function pauses(u) {
    const { ctx, bbox } = u, at = time => u.valToPos(time, "x", true);
    ctx.save();
    ctx.fillStyle = color("--line");
    for (const { start_ns, end_ns } of runs().flatMap(it => it.paused)) {
      const from = at(start_ns || 0);
      ctx.fillRect(from, bbox.top, Math.max(1, at(end_ns) - from), bbox.height);
    }
    ctx.restore();
  }

  // Moments that somebody has named.
  const runs = () => Model.isPair ? Model.content.reports : [Model.content.report];
  const marks = () => runs().flatMap(it => it.marks).sort((a, b) => a.time_ns - b.time_ns);
  function named(u) {
    const all = marks(), words = all.map(it => `${it.text} after ${Units.span(it.time_ns)}`);
    u.root.setAttribute("aria-label", ["live bytes over time", ...words].join("; "));
    let end = 0;
    for (const { time_ns, text } of all) {
      const isFree = u.valToPos(time_ns, "x", true) > end;
      const next = rule(u, time_ns, isFree ? text.slice(0, 40) : "", "--dim", u.bbox.top + u.bbox.height - 6, true);
      if (isFree) end = next;
    }
  }

  // The two moments that are compared, or the one that is looked at.
  function moments(u) {
    if (!current || ["all", "range"].includes(current.kind) || (Model.isPair && current.kind === "end")) return;
    const line = (slice, name, isTop) => rule(u, timeOf(slice, isTop), name, "--text", u.bbox.top + 14 * (devicePixelRatio || 1));
    if (current.kind === "diff") line(current.base, "A", current.base_series === 6);
    line(current.at, current.kind === "diff" ? "B" : "", current.kind === "peak");
  }

  // The time of a slice's end, or of its most.
  function timeOf(slice, isTop) {
    const { content } = Model;
    const duration = Model.isPair ? Math.max(...content.reports.map(it => it.duration_ns)) : content.report.duration_ns;
    const end = Math.min((slice + 1) * content.width_ns, duration);
    return isTop ? content.tops[slice][1] : end;
  }

  function mark(view) {
    current = view;
    if (!plot) return;
    const { content } = Model;
    if (view && view.kind === "range") {
      const [from, to] = view.span || [view.from * content.width_ns, timeOf(view.to, false)];
      const [left, right] = [plot.valToPos(from, "x"), plot.valToPos(to, "x")];
      plot.setSelect({ left, width: Math.max(2, right - left), top: 0, height: plot.over.clientHeight }, false);
    } else {
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    }
    plot.redraw(false);
  }

  const sliceAt = left => {
    const time = plot.posToVal(left, "x");
    return Math.min(Model.slices - 1, Math.max(0, Math.floor(time / Model.content.width_ns)));
  };
  let dragged = false;
  function select(u) {
    if (u.select.width < 3) return;
    dragged = true;
    if (Serve.isOn()) {
      const time = left => Math.max(0, Math.round(plot.posToVal(left, "x")));
      return choose(`time:${time(u.select.left)}-${time(u.select.left + u.select.width)}`);
    }
    choose(`range:${sliceAt(u.select.left)}-${sliceAt(u.select.left + u.select.width - 1)}`);
  }
  function click(event) {
    if (dragged) { dragged = false; return; }
    choose(`at:${sliceAt(event.offsetX)}`);
  }

  const key = name => {
    const box = element("span", "key");
    box.style.background = `var(${name})`;
    return box;
  };

  function legend(u) {
    if (Model.isPair) return legendOfBoth(u);
    const { timeline } = Model.content.report;
    const at = u.cursor.idx;
    const panel = byId("legend");
    if (at === null || at === undefined || u.cursor.left < 0) {
      panel.replaceChildren(key("--live"), "least and most", key("--births"), "allocations a second", " · drag: a range, click: a moment");
      return;
    }
    const least = Units.size(timeline.min_bytes[at]), most = Units.size(timeline.max_bytes[at]);
    const live = least === most ? most : `${least} to ${most}`;
    const near = marks().filter(it => Math.abs(u.valToPos(it.time_ns, "x") - u.cursor.left) < 5).map(it => ` · ▲ ${it.text}`);
    panel.replaceChildren(`${Units.span(at * interval)}: `, key("--live"), live, key("--births"), `${Units.brief(u.data[1][at])} allocations a second`, ...near);
  }

  function legendOfBoth(u) {
    const { names, reports } = Model.content, at = u.cursor.idx;
    const panel = byId("legend"), isOut = at === null || at === undefined || u.cursor.left < 0;
    const words = side => {
      if (isOut) return `${"AB"[side]}: ${names[side]}, ${Units.span(reports[side].duration_ns)}`;
      const most = u.data[1 + 2 * side][at];
      return `${"AB"[side]}: ${most === null || most === undefined ? "over" : Units.size(most)}`;
    };
    panel.replaceChildren(...(isOut ? [] : [`${Units.span(at * interval)}: `]), key("--old"), words(0), key("--live"), words(1));
    panel.title = panel.textContent;
  }

  return { draw, resize, mark, timeOf, legend: () => legend(plot) };
})();
