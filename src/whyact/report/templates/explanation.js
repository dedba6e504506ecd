// The page of one clip: what is shown is a state; every control changes it and what depends on it.

const page = pageData();
const palettes = { heat: bytes(page.palette), prompts: bytes(page.prompt_palette) };
let clip = null; // both come with show()
let stage = null;
const state = { index: 0, frame: 0, heat: 0.75, outlines: true, hover: null, held: null, timer: null };

function shown() {
  return page.explanations[state.index];
}

/** Heat is on one scale for all classes, so that a class without evidence looks like one. */
function topHeat() {
  return Math.max(...page.explanations.map((e) => e.heat.top));
}

// What depends on the frame.

function drawFrame() {
  const step = stepOf(state.frame, shown(), clip);
  stage.draw(shown(), state, topHeat());
  drawBoxes(stage, state.frame);
  markEvidence(byId("evidence"), step);
  markGraph(byId("graph"), step);
  const time = clip.times.length ? `, ${clip.times[state.frame].toFixed(2)} s` : "";
  const words = `frame ${state.frame + 1} of ${clip.frames.count}${time}`;
  const evidence = shown().frame_evidence[step];
  byId("when").textContent = words;
  byId("scrub").value = state.frame;
  byId("scrub").setAttribute("aria-valuetext",
    evidence === undefined ? words : `${words}, evidence ${signed(evidence)}`);
  byId("stage").setAttribute("aria-label", `${clip.source}, ${words}`);
}

function toFrame(frame) {
  state.frame = (frame + clip.frames.count) % clip.frames.count;
  drawFrame();
}

function play(on) {
  clearInterval(state.timer);
  const speed = Number(byId("speed").value);
  state.timer = on ? setInterval(() => toFrame(state.frame + 1), 1000 / speed) : null;
  byId("play").textContent = on ? "❚❚ Pause" : "▶ Play";
  byId("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

/** Shows one region alone, in the clip as it is or at a time step; null shows all again. */
function hover(region, step = null) {
  state.hover = region === null ? state.held : region;
  if (step !== null && region !== null && !state.timer) state.frame = frameOf(step, shown(), clip);
  drawFrame();
}

/** Keeps a region alone on the stage until it is let go. */
function hold(region) {
  state.held = state.held === region ? null : region;
  state.hover = state.held;
  drawLegend();
  drawFrame();
}

function jump(step) {
  play(false);
  toFrame(frameOf(step, shown(), clip));
}

// What depends on the class.

function drawClass() {
  const e = shown();
  byId("source").textContent = clip.source;
  byId("title").textContent = `Why “${e.class}”?`;
  byId("changed").hidden = !page.changed;
  byId("changed").textContent = `Not as it is, but changed: ${page.changed}.`;
  const verdict = byId("verdict");
  verdict.dataset.state = e.verdict.state;
  verdict.textContent = e.verdict.title;
  verdict.title = e.verdict.text;
  const marks = { good: "✓", bad: "!", unknown: "?", info: "i" };
  byId("findings").replaceChildren(...e.findings.map((f) =>
    element("li", { "data-state": f.state }, element("span", { class: "mark", "aria-hidden": "true" }, marks[f.state]),
      element("div", {}, element("b", {}, f.title), f.text))));
  byId("path").textContent = pathWords(e.path);
  drawShare(byId("share"), e);
  drawLegend();
  drawCharts();
}

function drawLegend() {
  const buttons = shown().drawn.map((k) => {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = page.colors[k % page.colors.length];
    return element("button", {
      type: "button", "aria-pressed": state.held === k, click: () => hold(k),
      mouseenter: () => hover(k), mouseleave: () => hover(null),
      focus: () => hover(k), blur: () => hover(null),
    }, swatch, `region ${k}`, element("span", { class: "muted number" }, signed(shown().regions[k].contribution)));
  });
  byId("legend").replaceChildren(...buttons);
}

/** Everything whose size depends on the window. */
function drawCharts() {
  const e = shown();
  const room = (id) => byId(id).parentElement.clientWidth - paddings(byId(id).parentElement);
  stage.resize();
  align(byId("scrub"), clip.frames.count);
  drawEvidence(byId("evidence"), room("evidence"), e, jump);
  const additive = e.contributions.length > 0;
  byId("sum-card").hidden = !additive;
  if (additive) drawSum(byId("sum"), room("sum"), e, page.colors, hover);
  byId("curves-note").textContent = e.tests
    ? `Probability of “${e.class}”, mean over two fill-ins (blur, mean colour). In brackets: area under insertion minus area under deletion.`
    : page.explanations.some((one) => one.tests)
      ? `Only the class that was explained first is tested; explain “${e.class}” with --action to test it.`
      : "No class of this page was tested.";
  byId("curves-card").hidden = Boolean(page.live);
  const column = room("curves");
  drawCurves(byId("curves"), column > 688 ? (column - 24) / 2 : column, e, page.maps);
  if (e.tests) byId("curves").after(replaceNext("curves", curveKey(e.tests, page.maps)));
  else replaceNext("curves", null);
  const graph = additive && graphRows(e).length > 0;
  byId("graph-card").hidden = !graph;
  if (graph) drawGraph(byId("graph"), room("graph"), e, page.colors, hover, jump);
  const prompts = e.prompt_weights.length > 0 && e.prompt_weights[0].length > 0;
  byId("prompts-card").hidden = !prompts;
  if (prompts) {
    const made = drawPrompts(byId("prompts"), Math.max(420, room("prompts")), e, palettes.prompts);
    byId("prompts-note").textContent =
      `How much each prompt takes of the bank's entries: the ${made.shown} largest of ${made.all}, from 0 (dark) to ${percent(made.most)} (bright).`;
  }
  drawFrame();
}

/** Takes away the key that follows a chart, and gives back the new one. */
function replaceNext(id, node) {
  const next = byId(id).nextElementSibling;
  if (next) next.remove();
  return node;
}

function paddings(node) {
  const style = getComputedStyle(node);
  return parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
}

/** The slider's thumb stands over the middle of the bar that belongs to it. */
function align(slider, count) {
  const inset = `calc(${50 / count}% - 8px)`;
  slider.style.marginLeft = inset;
  slider.style.width = `calc(${100 - 100 / count}% + 16px)`;
}

// Controls.

function listClasses() {
  const chances = new Map(clip.predicted.map((p) => [p.class, p.probability]));
  byId("classes").querySelectorAll("label").forEach((choice) => choice.remove());
  page.explanations.forEach((e, i) => {
    const chance = chances.get(e.class);
    const bar = element("i");
    bar.style.width = span(chance || 0);
    const radio = element("input", { type: "radio", name: "class", value: i, change: () => {
      Object.assign(state, { index: i, hover: null, held: null });
      drawClass();
    } });
    radio.checked = i === state.index;
    byId("classes").append(element("label", { class: "choice" }, radio, e.class,
      element("span", { class: "muted number" }, chance === undefined ? `logit ${signed(e.logit)}` : percent(chance)),
      e.class === clip.truth ? element("span", { class: "tag" }, "true") : null, bar));
  });
}

function pressed(event) {
  if (!clip || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("select, input[type=number]")) return; // their keys are their own
  const busy = event.target.closest("input, select, button, summary, svg .node");
  const own = busy && busy.id !== "scrub" && busy.id !== "outlines";
  const keys = {
    " ": () => !own && busy?.id !== "outlines" && (play(!state.timer), true),
    ArrowLeft: () => !busy && (play(false), toFrame(state.frame - 1), true),
    ArrowRight: () => !busy && (play(false), toFrame(state.frame + 1), true),
    Home: () => !busy && (toFrame(0), true),
    End: () => !busy && (toFrame(clip.frames.count - 1), true),
    h: () => (byId("heat").value = state.heat ? 0 : 75, setHeat(), true),
    o: () => (byId("outlines").click(), true),
  };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act && act()) event.preventDefault();
}

function setHeat() {
  state.heat = Number(byId("heat").value) / 100;
  byId("heat").setAttribute("aria-valuetext", percent(state.heat));
  drawFrame();
}

function listen() {
  byId("scrub").addEventListener("input", () => (play(false), toFrame(Number(byId("scrub").value))));
  byId("play").addEventListener("click", () => play(!state.timer));
  byId("back").addEventListener("click", () => (play(false), toFrame(state.frame - 1)));
  byId("next").addEventListener("click", () => (play(false), toFrame(state.frame + 1)));
  byId("speed").addEventListener("change", () => play(Boolean(state.timer)));
  byId("heat").addEventListener("input", setHeat);
  byId("outlines").addEventListener("change", () => {
    state.outlines = byId("outlines").checked;
    drawFrame();
  });
  document.addEventListener("keydown", pressed);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width && clip) drawCharts();
    width = window.innerWidth;
  });
}

function paintScale() {
  const image = new ImageData(256, 1);
  for (let i = 0; i < 256; i++) image.data.set([...palettes.heat.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  byId("scale").querySelector("canvas").getContext("2d").putImageData(image, 0, 0);
}

/** Shows a clip and its explanations, the first class first. */
async function show(data) {
  const next = new Stage(byId("stage"), data.clip, palettes.heat, page.colors);
  await next.load();
  page.explanations = data.explanations;
  page.changed = data.changed;
  [clip, stage] = [data.clip, next];
  Object.assign(state, { index: 0, hover: null, held: null });
  state.frame = Math.min(state.frame, clip.frames.count - 1);
  byId("scrub").max = clip.frames.count - 1;
  byId("outlines").closest("label").hidden = !stage.regions;
  byId("explained").hidden = false;
  listClasses();
  drawClass();
}

/** The frame in which most speaks for the class. */
function strongestFrame(explanation, of) {
  const values = explanation.frame_evidence;
  return values.length ? frameOf(values.indexOf(Math.max(...values)), explanation, of) : 0;
}

async function start() {
  listen();
  paintScale();
  play(false);
  if (page.clip) {
    state.frame = strongestFrame(page.explanations[0], page.clip);
    await show(page);
  }
  if (page.live) startLive();
  // After how many milliseconds every control works.
  document.documentElement.dataset.ready = Math.ceil(performance.now());
}

start();
