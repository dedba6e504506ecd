// Boxes in space and time that are hidden: dragged over the clip, or set by numbers.

const boxes = []; // { left, top, right, bottom } in [0, 1] of the frame, { first, last } frames
let dragged = null; // the box that is being drawn

const SMALLEST = 0.02; // of the frame; what is smaller was a click
const EDGES = { left: ["right", "Left edge"], top: ["bottom", "Upper edge"], right: ["left", "Right edge"], bottom: ["top", "Lower edge"] };

/** Draws the boxes that are there in the present frame. */
function drawBoxes({ canvas, pen }, frame) {
  const unit = canvas.width / Math.max(320, canvas.clientWidth);
  for (const box of dragged ? [...boxes, dragged] : boxes) {
    if (frame < box.first || frame > box.last) continue;
    const place = [box.left * canvas.width, box.top * canvas.height,
      (box.right - box.left) * canvas.width, (box.bottom - box.top) * canvas.height];
    pen.setLineDash([]);
    pen.lineWidth = 4 * unit;
    pen.strokeStyle = "rgba(0, 0, 0, 0.7)";
    pen.strokeRect(...place);
    pen.setLineDash([6 * unit, 4 * unit]);
    pen.lineWidth = 2 * unit;
    pen.strokeStyle = "#fff";
    pen.strokeRect(...place);
  }
  pen.setLineDash([]);
}

/** Lets boxes be drawn on a canvas; changed() is called for every one that is done. */
function listenForBoxes(canvas, changed) {
  let from = null;
  const place = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const inside = (v) => Math.max(0, Math.min(1, v));
    return [inside((event.clientX - left) / width), inside((event.clientY - top) / height)];
  };
  const drag = (event) => {
    const [x, y] = place(event);
    dragged = {
      left: Math.min(from[0], x), right: Math.max(from[0], x),
      top: Math.min(from[1], y), bottom: Math.max(from[1], y), ...allFrames(),
    };
    drawFrame();
  };
  const end = (keep) => {
    const box = dragged;
    from = dragged = null;
    if (keep && box && Math.min(box.right - box.left, box.bottom - box.top) >= SMALLEST) {
      boxes.push(box);
      changed();
    } else if (clip) drawFrame();
  };
  canvas.classList.add("drawable");
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !clip) return;
    canvas.setPointerCapture(event.pointerId);
    play(false);
    from = place(event);
  });
  canvas.addEventListener("pointermove", (event) => from && drag(event));
  canvas.addEventListener("pointerup", () => end(true));
  canvas.addEventListener("pointercancel", () => end(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && from && end(false));
}

function allFrames() {
  return { first: 0, last: clip.frames.count - 1 };
}

/** A row of fields a box; changed() is called for every value that is set. */
function listBoxes(list, changed) {
  const rows = boxes.map((box, i) => {
    const remove = () => (boxes.splice(i, 1), changed());
    return element("li", {}, element("b", {}, `Box ${i + 1}`),
      element("button", { type: "button", "data-key": `remove ${i}`, "aria-label": `Remove box ${i + 1}`, click: remove }, "✕"),
      ...Object.entries(EDGES).map(([edge, [other, name]]) => boxField(box, i, edge, other, name, changed)),
      frameField(box, i, "first", "From frame", changed),
      frameField(box, i, "last", "To frame", changed));
  });
  replaceKept(list, rows);
}

/** An edge in percent of the frame; it cannot pass the edge at the other side. */
function boxField(box, i, edge, other, name, changed) {
  const low = edge === "left" || edge === "top";
  const room = low ? [0, box[other] - SMALLEST] : [box[other] + SMALLEST, 1];
  return numberField(`${name} of box ${i + 1}, percent`, name, Math.round(100 * box[edge]), [0, 100], `${edge} ${i}`, (value) => {
    box[edge] = Math.max(room[0], Math.min(room[1], value / 100));
    changed();
  });
}

function frameField(box, i, end, name, changed) {
  const room = end === "first" ? [1, box.last + 1] : [box.first + 1, clip.frames.count];
  return numberField(`${name}, box ${i + 1}`, name, box[end] + 1, room, `${end} ${i}`, (value) => {
    box[end] = Math.round(Math.max(room[0], Math.min(room[1], value))) - 1;
    changed();
  });
}

function numberField(label, name, value, [min, max], key, set) {
  return element("label", {}, element("span", {}, name), element("input", {
    type: "number", value, min, max, step: 1, "aria-label": label, "data-key": key,
    change: (event) => event.target.value !== "" && set(Number(event.target.value)),
  }));
}

/** Exchanges the children of a node; the focus stays on what has the same data-key. */
function replaceKept(node, children) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  node.replaceChildren(...children);
  if (key) [...node.querySelectorAll("[data-key]")].find((n) => n.dataset.key === key)?.focus();
}
