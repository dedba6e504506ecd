// The page with a model behind it: every change asks it again. A file without a model runs none of
// this; only startLive() listens.

const live = {
  clip: null, // id of the film; null before one is open
  base: null, // what was answered before any change
  seconds: 0, // of the film
  edges: new Map(), // edges that were on a path, by key: { edge, on }
  promptsOff: new Set(),
  busy: false,
  again: false,
};

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body, headers: { "X-Whyact-Token": page.live.token } });
  } catch {
    throw new Error("The server does not answer. Is whyact serve still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let error = `The server answered ${answer.status}.`;
  try {
    error = JSON.parse(text).error;
  } catch { /* not from whyact */ }
  throw new Error(error);
}

function say(text, bad = false) {
  byId("said").textContent = text;
  byId("said").classList.toggle("bad", bad);
}

/** Runs what may fail; its error is shown, and the page stays as it is. */
async function attempt(work, doing) {
  say(doing);
  byId("explained").setAttribute("aria-busy", true);
  try {
    await work();
    say("");
  } catch (error) {
    say(error.message, true);
  }
  byId("explained").setAttribute("aria-busy", false);
}

// Clips.

function openFile() {
  const [file] = byId("file").files;
  byId("file").value = "";
  if (!file) return;
  if (file.size > page.live.limits.bytes) {
    say(`${file.name} has ${(file.size / 1e6).toFixed(0)} MB; at most ${page.live.limits.bytes / 1e6} are taken.`, true);
    return;
  }
  attempt(async () => {
    const data = await (await ask(`/clips?name=${encodeURIComponent(file.name)}`, file)).json();
    page.live.clips.push(data.opened);
    await open(data.opened.id, data);
  }, `Opening ${file.name} …`);
}

function openOffered(id) {
  attempt(async () => open(id, await (await ask("/what-if", JSON.stringify({ clip: id }))).json()), "Opening …");
}

async function open(id, data) {
  Object.assign(live, { clip: id, base: data, seconds: data.seconds });
  forget();
  state.frame = strongestFrame(data.explanations[0], data.clip);
  await show(data);
  drawLive();
}

/** Takes all changes back, without asking. */
function forget() {
  boxes.length = 0;
  live.edges.clear();
  live.promptsOff.clear();
  byId("background").value = "original";
  for (const [id, value] of [["trim-from", 0], ["trim-to", live.seconds]]) {
    byId(id).max = live.seconds;
    byId(id).value = value;
  }
}

// Changes.

function trimmed() {
  const [from, to] = ["trim-from", "trim-to"].map((id) => Number(byId(id).value));
  return from > 0 || to < live.seconds - 0.01 ? [from, to] : null;
}

function changes() {
  const [background, donor = null] = byId("background").value.split(":");
  const edges = [...live.edges.values()].filter((e) => !e.on).map((e) => e.edge);
  return {
    trim: trimmed(), background, donor, boxes, fill: byId("fill").value,
    prompts_off: [...live.promptsOff], edges_off: edges,
  };
}

function question() {
  return JSON.stringify({ clip: live.clip, changes: changes(), class: shown().class });
}

/** Asks for the present changes; what is changed meanwhile is asked for once that is answered. */
async function changed() {
  drawLive();
  live.again = live.busy;
  if (live.busy) return;
  live.busy = true;
  await attempt(async () => {
    const start = performance.now();
    const [film, asked] = [live.clip, question()];
    const data = await (await ask("/what-if", asked)).json();
    if (film !== live.clip) return; // another clip has been opened
    await show(data);
    live.took = (performance.now() - start) / 1000;
    drawLive();
  }, "Asking the model …");
  live.busy = false;
  if (live.again) changed();
}

async function savePage() {
  await attempt(async () => {
    const blob = await (await ask("/page", question())).blob();
    const link = element("a", { href: URL.createObjectURL(blob), download: `${clip.source}.html` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }, "Making the page …");
}

// What is shown of it.

/** What the changes that were answered last did, in words; the controls may be ahead of it. */
function outcome() {
  if (!page.changed) return "Nothing is changed.";
  const [before, now] = [live.base.clip.predicted[0], clip.predicted[0]];
  const words = [`Changed: ${page.changed}.`, `“${before.class}” ${percent(before.probability)} → “${now.class}” ${percent(now.probability)}.`];
  const e = shown();
  const same = live.base.explanations.find((b) => b.class === e.class);
  if (same) words.push(`The logit of “${e.class}” goes from ${signed(same.logit)} to ${signed(e.logit)}.`);
  if (live.took) words.push(`(${live.took.toFixed(1)} s)`);
  return words.join(" ");
}

function drawLive() {
  byId("save").disabled = byId("undo").disabled = !live.clip;
  byId("live").hidden = !live.clip;
  replaceKept(byId("offered"), page.live.clips.map((c) => element("option", { value: c.id }, c.name)));
  byId("offered").value = live.clip || "";
  byId("offered-label").hidden = !page.live.clips.length;
  if (!live.clip) return;
  byId("outcome").textContent = outcome();
  listBoxes(byId("boxes"), changed);
  listDonors();
  for (const id of ["trim-from", "trim-to"]) {
    byId(id).parentElement.querySelector("output").textContent = `${Number(byId(id).value).toFixed(2)} s`;
  }
  listPrompts();
  listEdges();
}

function listDonors() {
  const select = byId("background");
  const kept = select.value;
  select.querySelectorAll("option[value^='swapped:']").forEach((option) => option.remove());
  const others = page.live.clips.filter((c) => c.id !== live.clip);
  select.append(...others.map((c) => element("option", { value: `swapped:${c.id}` }, `the background of ${c.name}`)));
  select.value = kept;
}

function listPrompts() {
  const count = shown().prompt_weights[0]?.length || 0;
  byId("prompts-off").hidden = !count;
  const ticks = Array.from({ length: count }, (_, p) => tick(`prompt ${p}`, `prompt ${p}`, !live.promptsOff.has(p), (on) => {
    live.promptsOff[on ? "delete" : "add"](p);
    changed();
  }));
  replaceKept(byId("prompts-off").querySelector(".row"), ticks);
}

/** The edges of the shown path, and all that are off. */
function listEdges() {
  for (const [key, { on }] of [...live.edges]) if (on) live.edges.delete(key);
  for (const { from, to } of shown().path) {
    const name = `${nodeName(from)} → ${nodeName(to)}`;
    if (!live.edges.has(name)) live.edges.set(name, { edge: { from, to }, on: true });
  }
  byId("edges-off").hidden = !live.edges.size;
  const ticks = [...live.edges].map(([name, entry]) => tick(name, name, entry.on, (on) => {
    entry.on = on;
    changed();
  }));
  replaceKept(byId("edges-off").querySelector(".column"), ticks);
}

function tick(text, key, on, set) {
  const box = element("input", { type: "checkbox", "data-key": key, change: (event) => set(event.target.checked) });
  box.checked = on;
  return element("label", { class: "check" }, box, ` ${text}`);
}

function startLive() {
  byId("live-bar").hidden = false;
  byId("reach").textContent = `This page asks the model “${page.live.model}” of the server that it came from, and nothing else.`;
  byId("file").addEventListener("change", openFile);
  byId("offered").addEventListener("change", () => openOffered(byId("offered").value));
  byId("save").addEventListener("click", savePage);
  byId("undo").addEventListener("click", () => (forget(), changed()));
  byId("add-box").addEventListener("click", () => {
    boxes.push({ left: 0.35, top: 0.35, right: 0.65, bottom: 0.65, ...allFrames() });
    changed();
  });
  for (const id of ["fill", "background"]) byId(id).addEventListener("change", changed);
  byId("trim-from").addEventListener("change", () => {
    byId("trim-to").value = Math.max(byId("trim-to").value, byId("trim-from").value);
    changed();
  });
  byId("trim-to").addEventListener("change", () => {
    byId("trim-from").value = Math.min(byId("trim-to").value, byId("trim-from").value);
    changed();
  });
  listenForBoxes(byId("stage"), changed);
  if (page.clip) {
    Object.assign(live, { clip: page.live.clips[0].id, base: page, seconds: page.live.seconds });
    live.base = { clip: page.clip, explanations: page.explanations };
    forget();
  } else {
    byId("title").textContent = "What if?";
    say(`Open a clip of at most ${page.live.limits.seconds} s and ${page.live.limits.bytes / 1e6} MB; it stays in memory and is never written to a disk.`);
  }
  drawLive();
  if (clip) drawFrame();
}
