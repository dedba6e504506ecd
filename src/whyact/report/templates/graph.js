// The reasoning path as a graph over the frames: rows are regions and prompts, columns time steps.

/** A node of a path in words. */
function nodeName(node) {
  return `${node.node} ${node.index} (step ${node.step + 1})`;
}

/** The path in words, from its first sender on. */
function pathWords(path) {
  if (!path.length) return "The model has no graph, or no messages reach the strongest region.";
  const gates = path.map((s) => ` —${s.gate.toFixed(2)}→ ${nodeName(s.to)}`);
  return `${nodeName(path[0].from)}${gates.join("")}`;
}

/** Rows of the graph: prompts of the path, then drawn regions and those of the path. */
function graphRows(explanation) {
  const nodes = explanation.path.flatMap((s) => [s.from, s.to]);
  const named = (kind) => nodes.filter((n) => n.node === kind).map((n) => n.index);
  const prompts = [...new Set(named("prompt"))].sort((a, b) => a - b);
  const regions = [...new Set([...explanation.drawn, ...named("region")])];
  return [
    ...prompts.map((index) => ({ node: "prompt", index })),
    ...regions.map((index) => ({ node: "region", index })),
  ];
}

/**
 * Draws the graph. hover(region or null, step) is called for a node under the pointer or the focus,
 * choose(step) for one that is clicked or entered.
 */
function drawGraph(svg, width, explanation, colors, hover, choose) {
  const rows = graphRows(explanation);
  const steps = explanation.contributions.length;
  const [left, tall, top] = [84, 40, 22];
  const wide = Math.max(34, (width - left - 8) / steps);
  const place = (node) => {
    const row = rows.findIndex((r) => r.node === node.node && r.index === node.index);
    return [left + (node.step + 0.5) * wide, top + (row + 0.5) * tall];
  };
  blank(svg, left + steps * wide + 8, top + rows.length * tall + 6,
    `Regions over time, and the strongest path of messages: ${pathWords(explanation.path)}`);
  const head = shape("rect", { class: "playhead", y: 0, height: top + rows.length * tall, width: wide, rx: 4 });
  head.dataset.wide = wide;
  head.dataset.left = left;
  svg.append(head);
  for (let t = 0; t < steps; t++) {
    svg.append(shape("text", { class: "middle", x: left + (t + 0.5) * wide, y: 14 }, t + 1));
  }
  const onPath = new Set(explanation.path.flatMap((s) => [s.from, s.to]).map(nodeName));
  const largest = Math.max(...explanation.contributions.flat().map(Math.abs), 1e-9);
  const nodes = rows.flatMap((row) => {
    const [first, y] = place({ ...row, step: 0 });
    svg.append(
      shape("text", { class: "end", x: left - 10, y: y + 4 }, `${row.node} ${row.index}`),
      shape("line", { class: "identity", x1: first, x2: place({ ...row, step: steps - 1 })[0], y1: y, y2: y }),
    );
    return Array.from({ length: steps }, (_, step) => graphNode({ ...row, step }, place, explanation, {
      largest, colors, hover, choose, on: onPath, room: Math.min(wide / 2 - 2, 15) }));
  });
  const found = nodes.filter(Boolean);
  explanation.path.forEach((edge) => svg.append(...pathEdge(edge, place)));
  svg.append(...found);
  rove(svg, found);
}

function graphNode(node, place, explanation, how) {
  const [x, y] = place(node);
  const region = node.node === "region";
  const on = how.on.has(nodeName(node));
  if (!region && !on) return null;
  const value = region ? explanation.contributions[node.step][node.index] : 0;
  const size = Math.max(on ? 6 : 2.5, how.room * Math.sqrt(Math.abs(value) / how.largest));
  const words = region ? `${nodeName(node)}, adds ${signed(value, 3)}` : nodeName(node);
  const enter = () => how.hover(region ? node.index : null, node.step);
  const attributes = {
    class: `node${value < 0 ? " hollow" : ""}${on ? " on" : ""}`, tabindex: -1, role: "button",
    "aria-label": words, mouseenter: enter, focus: enter,
    mouseleave: () => how.hover(null, null), blur: () => how.hover(null, null),
    click: () => how.choose(node.step),
    keydown: (event) => event.key === "Enter" && how.choose(node.step),
  };
  const made = region
    ? shape("circle", { ...attributes, cx: x, cy: y, r: size })
    : shape("rect", { ...attributes, x: x - 8, y: y - 8, width: 16, height: 16, transform: `rotate(45 ${x} ${y})` });
  if (value >= 0) made.style.fill = region ? how.colors[node.index % how.colors.length] : "var(--card)";
  made.dataset.step = node.step;
  made.append(shape("title", {}, words));
  return made;
}

/** An arrow, as thick as its gate is open; bent between time steps so that rows do not hide it. */
function pathEdge(edge, place) {
  const [a, b] = [place(edge.from), place(edge.to)];
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = Math.hypot(dx, dy) || 1;
  const bend = Math.abs(dy) < 1 ? 14 : 8;
  const middle = [(a[0] + b[0]) / 2 + (dy / length) * bend, (a[1] + b[1]) / 2 - (dx / length) * bend];
  const back = [b[0] - middle[0], b[1] - middle[1]];
  const far = Math.hypot(...back) || 1;
  const [ux, uy] = [back[0] / far, back[1] / far];
  const tip = [b[0] - ux * 9, b[1] - uy * 9];
  const width = 1.5 + 2.5 * edge.gate;
  const wing = (side) => `${tip[0] - ux * 9 - side * uy * 5},${tip[1] - uy * 9 + side * ux * 5}`;
  return [
    shape("path", { class: "edge", "stroke-width": width, d: `M${a} Q${middle} ${tip}` },
      shape("title", {}, `${edge.kind.replaceAll("_", " ")}, gate ${edge.gate.toFixed(2)}`)),
    shape("polygon", { class: "edge-head", points: `${tip} ${wing(1)} ${wing(-1)}` }),
  ];
}

/** One stop of the Tab key for all nodes; the arrow keys go from node to node. */
function rove(svg, nodes) {
  if (!nodes.length) return;
  const steps = Math.max(...nodes.map((n) => Number(n.dataset.step))) + 1;
  (nodes.find((n) => n.classList.contains("on")) || nodes[0]).setAttribute("tabindex", 0);
  svg.onkeydown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -steps, ArrowDown: steps }[event.key];
    const at = nodes.indexOf(document.activeElement);
    if (move === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = nodes[Math.max(0, Math.min(nodes.length - 1, at + move))];
    nodes[at].setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  };
}

/** Moves the band that marks the present time step. */
function markGraph(svg, step) {
  const head = svg.querySelector(".playhead");
  if (head) head.setAttribute("x", Number(head.dataset.left) + step * Number(head.dataset.wide));
}
