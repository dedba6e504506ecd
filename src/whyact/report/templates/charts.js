// Charts of one explanation. Each empties its svg and draws it anew for the width that it has.

/** An empty svg of a size, and what it shows in words. */
function blank(svg, width, height, words) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  if (words) svg.setAttribute("aria-label", words);
  return svg;
}

/** Bars of evidence, one a time step; jump(step) is called for the one that is clicked. */
function drawEvidence(svg, width, explanation, jump) {
  const [height, top] = [96, 16];
  const values = explanation.frame_evidence;
  blank(svg, width, height);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const unit = (height - top - 2) / Math.max(high - low, 1e-9);
  const zero = top + high * unit;
  const step = width / values.length;
  values.forEach((value, i) => {
    const gap = Math.min(3, step / 6);
    svg.append(
      shape("rect", {
        class: "bar", x: i * step + gap, width: step - 2 * gap, rx: 2,
        y: Math.min(zero, zero - value * unit), height: Math.max(1, Math.abs(value) * unit),
      }),
      shape("rect", { class: "hit", x: i * step, y: 0, width: step, height, click: () => jump(i) },
        shape("title", {}, signed(value))),
    );
  });
  svg.append(shape("line", { class: "zero", x1: 0, x2: width, y1: zero, y2: zero }));
  const seconds = (one) => `${one.start.toFixed(1)} – ${one.stop.toFixed(1)} s`;
  const when = (explanation.intervals ?? []).map((one) => `, ${seconds(one)}`).join("");
  svg.append(shape("text", { x: 2, y: 11 }, `up to ${signed(Math.max(...values), 1)}${when}`));
}

/** Marks the bar of the present time step. */
function markEvidence(svg, step) {
  svg.querySelectorAll(".bar").forEach((bar, i) => bar.classList.toggle("now", i === step));
}

/** Bias, regions and others as a waterfall that ends at the logit; hover(region or null). */
function drawSum(svg, width, explanation, colors, hover) {
  const shown = explanation.drawn;
  const totals = explanation.regions.map((r) => r.contribution);
  const rest = totals.reduce((sum, v, k) => (shown.includes(k) ? sum : sum + v), 0);
  const rows = [
    ...shown.map((k) => ({ label: `region ${k}`, value: totals[k], region: k })),
    { label: shown.length ? "other regions" : "all places", value: rest },
    { label: "bias", value: explanation.bias },
  ];
  const [tall, left, right] = [25, 92, 58];
  let reach = 0;
  for (const row of rows) row.from = reach, reach += row.value;
  rows.push({ label: "logit", value: explanation.logit, from: 0, strong: true });
  const ends = rows.flatMap((r) => [r.from, r.from + r.value]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const at = (v) => left + ((v - low) / Math.max(high - low, 1e-9)) * (width - left - right);
  const words = rows.map((r) => `${r.label} ${signed(r.value)}`).join(", ");
  blank(svg, width, rows.length * tall + 4, words);
  svg.append(shape("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: rows.length * tall }));
  rows.forEach((row, i) => {
    const [a, b] = [at(row.from), at(row.from + row.value)].sort((p, q) => p - q);
    const y = i * tall;
    const known = row.region !== undefined;
    const group = shape("g", known ? { mouseenter: () => hover(row.region), mouseleave: () => hover(null) } : {});
    const style = row.strong ? "strong" : "";
    const bar = shape("rect", { x: a, y: y + 5, width: Math.max(1.5, b - a), height: tall - 10, rx: 2, stroke: "currentColor", "stroke-width": 0.6 });
    bar.style.fill = row.strong ? "var(--ink)" : known ? colors[row.region % colors.length] : "var(--grid)";
    group.append(
      shape("rect", { class: "hit", x: 0, y, width, height: tall }), bar,
      shape("text", { class: `end ${style}`, x: left - 10, y: y + 17 }, row.label),
      shape("text", { class: `end number ${style}`, x: width - 2, y: y + 17 }, signed(row.value)),
    );
    svg.append(group);
  });
}

/** Whose the evidence is, as a bar of two parts, with the drops that it was measured by. */
function drawShare(box, explanation) {
  const { action_share: actor, drops } = explanation;
  box.replaceChildren();
  if (actor !== null) {
    const part = (name, share) => {
      const node = element("span", { class: name }, share >= 0.16 ? `${name} ${percent(share)}` : "");
      node.style.flexGrow = share;
      node.style.flexBasis = 0;
      return node;
    };
    const words = `The actor carries ${percent(actor)}, the scene ${percent(1 - actor)}.`;
    box.append(element("div", { class: "share", role: "img", "aria-label": words },
      part("actor", actor), part("scene", 1 - actor)));
  }
  if (drops) {
    box.append(element("p", { class: "drops" },
      `The logit changes by ${signed(-drops.actor)} without the actor and by ` +
      `${signed(-drops.background)} without the background (each filled in).`));
  } else {
    box.append(element("p", { class: "drops" }, explanation.findings.find((f) => f.about === "share").text));
  }
}

/** Deletion and insertion of the map and its controls, as means over the fill-ins. */
function drawCurves(box, width, explanation, names) {
  box.replaceChildren();
  const tests = explanation.tests;
  if (!tests) return;
  const titles = {
    deletion: "Deletion: hottest parts taken away first (lower is better)",
    insertion: "Insertion: hottest parts put back first (higher is better)",
  };
  for (const kind of ["deletion", "insertion"]) {
    const svg = shape("svg", { role: "img" });
    const lines = tests.maps.map((map) => meanCurve(tests.curves, kind, map));
    drawLines(svg, Math.min(width, 560), lines, tests.curves[0].fractions);
    svg.setAttribute("aria-label", `${titles[kind]}. ` + tests.maps.map(
      (map, i) => `${names[map] || map}: mean ${percent(average(lines[i]))}`).join("; "));
    box.append(element("div", {}, element("h3", {}, titles[kind]), svg));
  }
}

function meanCurve(curves, kind, map) {
  return curves[0][kind][map].map((_, i) => average(curves.map((c) => c[kind][map][i])));
}

function average(values) {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

function drawLines(svg, width, lines, fractions) {
  const [height, left, bottom, top] = [190, 40, 34, 8];
  const x = (v) => left + v * (width - left - 10);
  const y = (v) => top + (1 - v) * (height - bottom - top);
  blank(svg, width, height);
  for (const tick of [0, 0.5, 1]) {
    svg.append(
      shape("line", { class: "axis", x1: left, x2: width - 10, y1: y(tick), y2: y(tick) }),
      shape("text", { class: "end", x: left - 6, y: y(tick) + 4 }, percent(tick)),
      shape("text", { class: tick === 1 ? "end" : "middle", x: x(tick) + (tick === 1 ? 10 : 0), y: height - bottom + 15 }, percent(tick)),
    );
  }
  svg.append(shape("text", { class: "middle", x: x(0.5), y: height - 3 }, "share of the clip"));
  [...lines].reverse().forEach((line, i) => {
    const points = line.map((v, j) => `${x(fractions[j]).toFixed(1)},${y(v).toFixed(1)}`);
    svg.append(shape("polyline", { class: `curve m${lines.length - 1 - i}`, points: points.join(" ") }));
  });
}

/** Which line is which, with insertion minus deletion of each. */
function curveKey(tests, names) {
  const items = tests.maps.map((map, i) => {
    const line = shape("svg", { width: 34, height: 10, "aria-hidden": "true" },
      shape("polyline", { class: `curve m${i}`, points: "0,5 34,5" }));
    return element("span", {}, line, `${names[map] || map} (${signed(tests.gap[map])})`);
  });
  return element("p", { class: "key" }, ...items);
}

/** Weights of the strongest entries of the bank over time; returns how many of all are shown. */
function drawPrompts(svg, width, explanation, palette) {
  const weights = explanation.prompt_weights;
  const rows = weights[0].flatMap((row, p) => row.map((_, m) => ({
    prompt: p, entry: m, values: weights.map((step) => step[p][m]),
  })));
  for (const row of rows) row.most = Math.max(...row.values);
  const shown = [...rows].sort((a, b) => b.most - a.most).slice(0, 8);
  shown.sort((a, b) => a.prompt - b.prompt || a.entry - b.entry);
  const most = Math.max(...shown.map((r) => r.most), 1e-9);
  const [left, tall] = [128, 22];
  const wide = (width - left) / weights.length;
  const words = "Weight of each prompt's bank entries over time, at most " + percent(most);
  blank(svg, width, shown.length * tall + 18, words);
  shown.forEach((row, i) => {
    svg.append(shape("text", { class: "end", x: left - 8, y: i * tall + 15 },
      `prompt ${row.prompt}, entry ${row.entry}`));
    row.values.forEach((value, t) => {
      const c = 3 * Math.round((255 * value) / most);
      svg.append(shape("rect", {
        x: left + t * wide, y: i * tall + 1, width: Math.max(1, wide - 1), height: tall - 2,
        fill: `rgb(${palette[c]} ${palette[c + 1]} ${palette[c + 2]})`,
      }, shape("title", {}, `${percent(value, 1)} in step ${t + 1}`)));
    });
  });
  weights.forEach((_, t) => svg.append(shape("text", {
    class: "middle", x: left + (t + 0.5) * wide, y: shown.length * tall + 14 }, t + 1)));
  return { shown: shown.length, all: rows.length, most };
}
