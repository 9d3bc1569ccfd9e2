// A flame graph on a canvas, the outermost function above: who calls whom, as wide as what it costs. Of a
// function in focus, its callers are above it and its callees below.
const Flame = (() => {
  // Of a row: as high as the panel allows.
  let rowHeight = 19;
  let root, boxes = [], state, view, on, zoomed = null, hovered = null, words = "", keyed = null, rowsAbove = 0;

  function start(handlers) {
    on = handlers;
    const canvas = byId("flame-canvas");
    canvas.addEventListener("mousemove", hover);
    canvas.addEventListener("mouseleave", () => { hovered = null; Tip.hide(); paint(); });
    canvas.addEventListener("click", event => { const box = at(event); if (box) zoom(box.node); });
    canvas.addEventListener("dblclick", event => { const box = at(event); if (box) on.focus(box.node); });
    canvas.addEventListener("keydown", key);
  }

  const node = (key, name, parent) => ({ key, name, parent, depth: parent ? parent.depth + 1 : 0, plus: 0, minus: 0, own: 0, children: new Map(), isFolded: false, count: 1, source: "", module: "" });
  const weight = it => it.plus + it.minus;

  function child(parent, part) {
    let found = parent.children.get(part.key);
    if (!found) {
      found = node(part.key, part.name, parent);
      found.isFolded = part.isFolded;
      found.count = part.count;
      found.source = part.source;
      found.module = part.module;
      parent.children.set(part.key, found);
    }
    return found;
  }

  // The functions of a stack from the outermost inward; those of libraries in a row are one.
  function parts(stack) {
    const name = state.fold ? "folded" : "plain";
    stack.parts ??= {};
    if (stack.parts[name]) return stack.parts[name];
    const all = [];
    // The outermost function is the first of the program's own.
    const first = state.fold ? stack.functions.findIndex(number => !Model.isFoldable(number)) : 0;
    for (const number of stack.functions.slice(Math.max(0, first))) {
      const [text, source, module, folded] = Model.functionAt(number);
      const last = all[all.length - 1];
      if (state.fold && folded && last && last.isFolded) { last.count += 1; last.key += `,${number}`; continue; }
      all.push({ key: String(state.fold ? text : number), text, name: Model.text(text), source: Model.text(source), module: Model.text(module), isFolded: Boolean(folded), count: 1 });
    }
    for (const part of all) if (part.isFolded && state.fold) part.key = `f${part.text}`;
    stack.parts[name] = all;
    return all;
  }

  // Of cells: everything from the outermost function inward, or around the function in focus.
  function build(chosen) {
    root = node("", "all", null);
    root.above = node("", "callers", null);
    const focus = state.filters.function;
    for (const { cell, costs } of chosen) {
      const cost = costs[state.cost];
      if (!cost || (!cell.stack && focus !== undefined)) continue;
      const path = cell.stack ? parts(cell.stack) : [{ key: "\u0000", name: cell.keys.site, isFolded: true, count: 1, source: "", module: "" }];
      let start = 0;
      if (focus !== undefined) {
        // A recursion counts once: its outermost call.
        start = path.findIndex(part => part.name === focus);
        if (start < 0) start = path.length - 1;
        let it = root.above;
        for (let place = start - 1; place >= 0; place -= 1) it = child(it, path[place]);
        it.own += cost;
      }
      let it = root;
      for (let place = start; place < path.length; place += 1) it = child(it, path[place]);
      it.own += cost;
    }
    settle(root);
    settle(root.above);
  }

  // What has grown and what has shrunk: of each path, all of it together.
  function settle(it) {
    it.plus = Math.max(0, it.own);
    it.minus = Math.max(0, -it.own);
    for (const below of it.children.values()) {
      settle(below);
      it.plus += below.plus;
      it.minus += below.minus;
    }
  }

  function show(chosen, newState, newView, search) {
    const before = zoomed ? pathOf(zoomed) : null;
    [state, view, words] = [newState, newView, search.toLowerCase()];
    build(chosen);
    zoomed = before ? follow(before) : null;
    keyed = null;
    layout();
  }

  const pathOf = it => { const keys = []; for (; it.parent; it = it.parent) keys.unshift(it.key); return keys; };
  function follow(keys) {
    let it = root;
    for (const key of keys) { it = it.children.get(key); if (!it) return null; }
    return it === root ? null : it;
  }

  // The functions that nearly everything goes through, one after the other.
  function stemOf(tree) {
    const stem = [];
    for (let it = tree; ;) {
      const [largest] = [...it.children.values()].sort((one, other) => weight(other) - weight(one));
      if (!largest || weight(largest) < 0.97 * weight(tree)) return stem;
      stem.push(largest);
      it = largest;
    }
  }

  // Boxes of this tree, `direction` rows apart, from `left` on.
  function place(tree, left, width, row, direction, all) {
    let x = left;
    for (const it of [...tree.children.values()].sort((one, other) => weight(other) - weight(one))) {
      const wide = width * weight(it) / (weight(tree) || 1);
      if (wide >= 0.4) {
        all.push({ node: it, x, width: wide, row });
        place(it, x, wide, row + direction, direction, all);
      }
      x += wide;
    }
  }

  function layout() {
    const panel = byId("flame");
    if (!panel.clientWidth || !root) return;
    const width = panel.clientWidth - 2;
    const all = [];
    if (zoomed) {
      const path = [];
      for (let it = zoomed; it.parent; it = it.parent) path.unshift(it);
      all.push({ node: root, x: 0, width, row: 0, isAncestor: true });
      path.forEach((it, place) => all.push({ node: it, x: 0, width, row: place + 1, isAncestor: it !== zoomed }));
      place(zoomed, 0, width, path.length + 1, 1, all);
    } else if (state.filters.function === undefined) {
      all.push({ node: root, x: 0, width, row: 0 });
      const stem = state.fold ? stemOf(root) : [];
      const last = stem.length > 3 ? stem[stem.length - 1] : root;
      if (last !== root) {
        const label = `${brief(stem[0].name)} › ${stem.length - 2} functions › ${brief(last.name)}`;
        all.push({ node: last, x: 0, width, row: 1, label });
      }
      place(last, 0, width, last === root ? 1 : 2, 1, all);
    } else {
      place(root, 0, width, 0, 1, all);
      const callers = [];
      place(root.above, 0, width, -1, -1, callers);
      all.push(...callers.map(box => ({ ...box, isCaller: true })));
    }
    rowsAbove = -Math.min(0, ...all.map(box => box.row));
    for (const box of all) box.row += rowsAbove;
    boxes = all;
    const rows = Math.max(1, ...all.map(box => box.row + 1));
    rowHeight = Math.max(18, Math.min(26, Math.floor(panel.clientHeight / rows)));
    note();
    paint();
  }

  function note() {
    const isDifference = Model.isChange(view, state.cost);
    const focus = state.filters.function !== undefined;
    const sum = isDifference ? `+${text(root.plus)} −${text(root.minus)}` : text(weight(root));
    const matched = words ? ` · found ${Units.percent(matching(root), weight(root)) || "0 %"}` : "";
    byId("flame-note").textContent = `${sum}${focus ? ": callers above, callees below" : zoomed ? " · Esc: all" : ""}${matched}`;
    byId("flame-canvas").setAttribute("aria-label", `Flame graph of ${Model.COSTS[state.cost].name}: ${sum}`);
  }

  // What is in or below a function that is searched for.
  function matching(it) {
    if (it !== root && matches(it)) return weight(it);
    let sum = 0;
    for (const below of it.children.values()) sum += matching(below);
    return sum;
  }
  const matches = it => words && (it.name.toLowerCase().includes(words) || it.source.toLowerCase().includes(words) || it.module.toLowerCase().includes(words));

  const text = value => state.cost === "age" ? Units.span(value) : Model.COSTS[state.cost].unit === "bytes" ? Units.size(value) : Units.count(value);

  function hue(name) {
    let hash = 0;
    for (let at = 0; at < name.length; at += 1) hash = (hash * 31 + name.charCodeAt(at)) >>> 0;
    return hash % 997 / 997;
  }

  function paint() {
    const panel = byId("flame");
    const width = panel.clientWidth - 2;
    const rows = Math.max(1, ...boxes.map(box => box.row + 1));
    const canvas = byId("flame-canvas");
    const context = prepare(canvas, width, rows * rowHeight + 2);
    const [saturation, light, ink, grey] = ["--flame-s", "--flame-l", "--flame-text", "--grey"].map(color);
    const [dim, plain, mark, panelColor] = ["--dim", "--text", "--mark", "--panel"].map(color);
    const isDifference = Model.isChange(view, state.cost);
    context.font = "11.5px system-ui, sans-serif";
    context.textBaseline = "middle";
    if (!weight(root)) {
      context.fillStyle = dim;
      context.fillText("nothing in this view", 10, rowHeight / 2 + 1);
      return;
    }
    const focus = state.filters.function;
    for (const box of boxes) {
      const { node: it, x, row } = box, y = row * rowHeight, wide = Math.max(box.width - 1, 0.4);
      const high = rowHeight - 1;
      const found = words && it !== root && matches(it);
      context.globalAlpha = words && !found && it !== root ? 0.35 : box.isAncestor ? 0.6 : 1;
      context.fillStyle = isDifference ? panelColor : it === root ? grey : it.isFolded ? grey : `hsl(${box.isCaller ? 195 + 40 * hue(it.name) : 8 + 42 * hue(it.name)} ${saturation} ${light})`;
      context.fillRect(x, y, wide, high);
      if (isDifference) {
        const share = it.plus / (weight(it) || 1);
        context.fillStyle = color("--never");
        context.globalAlpha *= it.isFolded ? 0.4 : 0.6;
        context.fillRect(x, y, wide * share, high);
        context.fillStyle = color("--later");
        context.fillRect(x + wide * share, y, wide * (1 - share), high);
        context.globalAlpha = words && !found && it !== root ? 0.35 : 1;
      }
      if (found) { context.fillStyle = mark; context.fillRect(x, y + high - 2.5, wide, 2.5); }
      if (it === hovered || it === keyed || (focus !== undefined && it.name === focus && row === rowsAbove)) {
        context.strokeStyle = plain;
        context.lineWidth = 1.5;
        context.strokeRect(x + 0.75, y + 0.75, Math.max(0, wide - 1.5), high - 1.5);
      }
      if (wide > 26) {
        context.fillStyle = isDifference ? plain : it === root || it.isFolded ? dim : ink;
        const more = it.count > 1 ? ` … ${it.count} functions` : "";
        const name = it === root ? isDifference ? `${viewName()}: +${text(root.plus)} −${text(root.minus)}` : `${viewName()}: ${text(weight(root))}` : box.label || brief(it.name) + more;
        context.fillText(cut(context, name, wide - 8), x + 4, y + high / 2 + 0.5);
      }
    }
    context.globalAlpha = 1;
    if (focus !== undefined && rowsAbove) {
      context.fillStyle = panelColor;
      context.fillRect(0, rowsAbove * rowHeight - 1.5, width, 1.5);
    }
  }

  const viewName = () => `${state.cost === "peak" ? Table.firstName(view) : Model.COSTS[state.cost].name}`;

  const cuts = new Map();
  function cut(context, name, room) {
    const key = `${Math.round(room)} ${name}`;
    if (cuts.has(key)) return cuts.get(key);
    let result = name;
    if (context.measureText(name).width > room) {
      let low = 0, high = name.length;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (context.measureText(`${name.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1;
      }
      result = low ? `${name.slice(0, low)}…` : "";
    }
    if (cuts.size > 5000) cuts.clear();
    cuts.set(key, result);
    return result;
  }

  function at(event) {
    const row = Math.floor(event.offsetY / rowHeight);
    return boxes.find(box => box.row === row && event.offsetX >= box.x && event.offsetX < box.x + Math.max(box.width, 1));
  }

  function hover(event) {
    const box = at(event);
    const found = box ? box.node : null;
    if (found !== hovered) { hovered = found; paint(); }
    if (!found) { Tip.hide(); return; }
    Tip.show(event, lines(found));
  }

  function lines(it) {
    const isDifference = Model.isChange(view, state.cost);
    const cost = isDifference ? `grown ${text(it.plus)}, shrunk ${text(it.minus)}` : `${text(weight(it))} (${Units.percent(weight(it), weight(root))})`;
    return [
      ["head", it === root ? "all" : it.name],
      ["dim", [it.source, it.module].filter(Boolean).join(" · ")],
      ["", `${viewName()}: ${cost}`],
      ["dim", it.own && it.own !== weight(it) && !isDifference ? `by itself: ${text(it.own)}` : ""],
      ["dim", it.count > 1 ? `with ${it.count - 1} further functions of libraries` : ""],
      ["dim", it === root ? "" : "click: zoom · double click: its callers and callees"],
    ];
  }

  function zoom(it) {
    if (state.filters.function !== undefined && !inside(it)) return on.focus(it);
    zoomed = it === root || it === zoomed ? null : it;
    keyed = null;
    layout();
  }
  const inside = it => { for (; it; it = it.parent) if (it === root) return true; return false; };

  function key(event) {
    const chosen = boxes.find(box => box.node === keyed) || boxes[0];
    if (!chosen) return;
    const middle = chosen.x + chosen.width / 2;
    const inRow = row => boxes.filter(box => box.row === row).sort((one, other) => one.x - other.x);
    const near = row => inRow(row).find(box => middle >= box.x && middle < box.x + box.width) || inRow(row).find(box => box.x >= chosen.x);
    const row = inRow(chosen.row), place = row.indexOf(chosen);
    const next = { ArrowDown: () => near(chosen.row + 1), ArrowUp: () => near(chosen.row - 1), ArrowLeft: () => row[place - 1], ArrowRight: () => row[place + 1] }[event.key];
    if (next) { keyed = (next() || chosen).node; paint(); say(keyed); }
    else if (event.key === "Enter") zoom(keyed || root);
    else if (event.key === "f") { if (keyed && keyed !== root) on.focus(keyed); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  const say = it => { byId("flame-note").textContent = `${it.name} · ${text(weight(it))}, ${Units.percent(weight(it), weight(root))}`; };

  // Back to everything; whether there was something to undo.
  function reset() {
    if (!zoomed) return false;
    zoomed = null;
    layout();
    return true;
  }

  return { start, show, layout, reset, paint, zoom, get boxes() { return boxes; } };
})();
