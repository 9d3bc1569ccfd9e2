// Numbers for people, with three significant digits, as the command line has them.
const Units = (() => {
  // Figures that were divided are small.
  const whole = value => Number.isInteger(value) || Math.abs(value) >= 1000 ? String(Math.round(value)) : value === 0 ? "0" : String(Number(value.toPrecision(3)));
  const three = value => value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

  function scaled(bytes) {
    const prefixes = ["", "K", "M", "G", "T", "P", "E"];
    let value = Math.abs(bytes), place = 0;
    while (value >= 999.5 && place < 6) { value /= 1024; place += 1; }
    const sign = bytes < 0 ? "−" : "";
    return [sign + (place ? three(value) : whole(value)), prefixes[place]];
  }

  // 16.0K
  const short = bytes => scaled(bytes).join("");
  // 16.0 KiB
  const size = bytes => {
    const [number, prefix] = scaled(bytes);
    return `${number} ${prefix ? prefix + "iB" : "B"}`;
  };
  // 1,234,567
  const count = number => (Math.abs(number) < 1000 ? whole(number) : String(Math.round(number))).replace("-", "−").replace(/\B(?=(\d{3})+$)/g, (_, _digits, at, text) => text.includes(".") ? "" : ",");
  // 1.23M
  function brief(number) {
    const prefixes = ["", "k", "M", "G", "T"];
    let value = Math.abs(number), place = 0;
    while (value >= 999.5 && place < 4) { value /= 1000; place += 1; }
    return (number < 0 ? "−" : "") + (place ? three(value) + prefixes[place] : whole(value));
  }
  // 1.25 ms
  function span(ns) {
    if (ns < 0) return `−${span(-ns)}`;
    let value = ns, unit = "ns";
    for (const [larger, factor] of [["µs", 1e3], ["ms", 1e3], ["s", 1e3], ["min", 60], ["h", 60]]) {
      if (value < (unit === "min" ? 99.95 : 999.5)) break;
      value /= factor;
      unit = larger;
    }
    return unit === "ns" ? `${Math.round(ns)} ns` : `${three(value)} ${unit}`;
  }
  // 12.3 %
  const percent = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} %` : "";

  return { short, size, count, brief, span, percent };
})();

// Names of C++ that are long and say little.
const brief = name => name
  .replaceAll("(anonymous namespace)::", "")
  .replaceAll("std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string")
  .replaceAll("std::__cxx11::", "std::");

// An element with a class, a text, and children.
function element(name, kind, text, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined && text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

const byId = id => document.getElementById(id);
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas of this size in CSS pixels, and its context.
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// The text beside the mouse.
const Tip = {
  show(event, lines) {
    const tip = byId("tip");
    tip.replaceChildren(...lines.filter(line => line[1]).map(([kind, text]) => element("div", kind, text)));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 6);
    const below = event.clientY + 18 + box.height < innerHeight;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${below ? event.clientY + 18 : Math.max(4, event.clientY - box.height - 12)}px`;
  },
  hide() { byId("tip").hidden = true; },
};
