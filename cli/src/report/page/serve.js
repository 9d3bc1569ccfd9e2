// Where the page comes from mallook serve: it asks for ranges of time, for places that pass a filter and for
// those that did not fit, and what it shows is read from the traces then. A file asks for nothing.
const Serve = (() => {
  let whole = null, part = null, wanted = "", failed = "", isBusy = false, again, timer;
  const name = Array.from(crypto.getRandomValues(new Uint32Array(2)), it => it.toString(36)).join("");

  const isOn = () => whole !== null;
  function start(content, show) {
    if (!content.served) return;
    [whole, again] = [content, show];
  }

  // The words of the question for a state; none if the page has it all.
  function question(state) {
    const words = new URLSearchParams();
    const [, from, to] = /^time:(\d+)-(\d+)$/.exec(state.view) || [];
    if (from !== undefined && Number(from) <= Number(to)) { words.set("from", from); words.set("to", to); }
    // Rows that were cut off may pass the filter.
    if (whole.more_cells) {
      if (state.search && Model.hasStacks) words.set("find", state.search);
      if (state.filters.function !== undefined) words.set("function", state.filters.function);
      const number = kind => { const found = / (\d+)$/.exec(state.filters[kind] || ""); return found && found[1]; };
      if (number("thread")) words.set("thread", number("thread"));
      const process = number("process");
      const at = process ? whole.processes.findIndex(it => String(it[1]) === process) : -1;
      if (at >= 0) words.set("process", at);
    }
    if (state.skip) words.set("skip", state.skip);
    return words.toString();
  }

  async function ask(words) {
    const response = await fetch(`data?${words}${words ? "&" : ""}page=${name}`, { cache: "no-store", credentials: "omit" });
    if (response.status === 409) return null;
    if (!response.ok) throw new Error((await response.text()).trim());
    return response.json();
  }

  // Loads what the state needs, if it is there; else it is asked for, and shown when it comes.
  function prepare(state) {
    if (!isOn()) return;
    const words = question(state);
    if (words === "") { wanted = ""; if (Model.content !== whole) Model.load(whole); return status(); }
    if (part && part.words === words && part.state === whole.served.state) {
      wanted = words;
      if (Model.content !== part.content) Model.load(part.content);
      return status();
    }
    if (wanted !== words) {
      wanted = words;
      failed = "";
      get(words);
    }
    if (Model.content !== whole) Model.load(whole);
    status();
  }

  async function get(words) {
    isBusy = true;
    try {
      const content = await ask(words);
      if (content === null || wanted !== words) return;
      if (content.served.state !== whole.served.state) await refresh();
      part = { words, state: content.served.state, content };
      isBusy = false;
      again(false);
    } catch (error) {
      isBusy = false;
      failed = String(error.message || error);
      status();
    }
  }

  // What has come since.
  async function refresh() {
    try {
      const content = await ask(`refresh=${whole.served.state}`);
      failed = "";
      if (content === null || content.unchanged) return status();
      [whole, part, wanted] = [content, null, ""];
      Model.load(whole);
      again(true);
    } catch (error) {
      failed = /fetch/.test(String(error)) ? "mallook serve has ended" : String(error.message || error);
      byId("auto").checked = false;
      follow();
      status();
    }
  }

  // Asks again and again while the box is ticked; each question waits for the answer to the one before.
  function follow() {
    clearTimeout(timer);
    if (!byId("auto").checked) return;
    timer = setTimeout(async () => { if (!document.hidden) await refresh(); follow(); }, 1000);
  }

  function status() {
    const pending = wanted !== "" && Model.content === whole;
    byId("asked").textContent = failed || (pending && isBusy ? "reading the traces …" : "");
    byId("asked").classList.toggle("bad", failed !== "");
    document.documentElement.dataset.asked = pending && !failed ? "yes" : "no";
  }

  function listen() {
    byId("serve").hidden = !isOn();
    if (!isOn()) return;
    byId("refresh").addEventListener("click", refresh);
    byId("auto").addEventListener("change", follow);
    byId("auto").checked = whole.served.is_running;
    follow();
  }

  // The range that the present content is of.
  const range = () => isOn() && Model.content !== whole ? Model.content.served.range : null;
  const most = () => whole.served.most;

  return { start, isOn, prepare, listen, refresh, range, most };
})();
