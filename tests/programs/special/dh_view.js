// dh_view.js VIEWER FILE: what valgrind's own viewer of DHAT's files makes of one, as JSON.
const fs = require("fs");
const vm = require("vm");

const [viewer, file] = process.argv.slice(2);
// The viewer's code without its page: it only needs the menu of sort metrics.
const page = {
  console, performance,
  document: {}, window: {}, navigator: {}, result: null,
  text: fs.readFileSync(file, "utf8"),
};
const code = fs.readFileSync(viewer, "utf8") + `
gSelect = {
  childNodes: gSelectData.map((data) => ({ selected: data.isDefault, disabled: false })),
  selectedIndex: gSelectData.findIndex((data) => data.isDefault),
};
gData = JSON.parse(text);
buildTree();
const leaves = [];
const walk = (node, frames) => {
  const path = frames.concat(node._frames.map((frame) => gData.ftbl[frame]));
  if (node._kids) node._kids.forEach((kid) => walk(kid, path));
  else leaves.push({ frames: path, bytes: node._totalBytes, blocks: node._totalBlocks, most: node._maxBytes });
};
walk(gRoot, []);
result = {
  bytes: gRoot._totalBytes, blocks: gRoot._totalBlocks,
  peakBytes: gRoot._atTGmaxBytes, peakBlocks: gRoot._atTGmaxBlocks,
  endBytes: gRoot._atTEndBytes, endBlocks: gRoot._atTEndBlocks,
  leaves,
};
`;
vm.createContext(page);
vm.runInContext(code, page);
console.log(JSON.stringify(page.result));
