// Many clips: sorted and filtered in the page. Pictures load when they come near the window.

const clips = pageData();

/** The classes by which a clip can be found. */
function named(clip) {
  return [clip.class, clip.predicted, clip.truth].filter((name) => name !== null);
}

function wrong(clip) {
  return clip.truth !== null && clip.truth !== clip.predicted;
}

/** Smaller first; unknown values last. */
function by(value) {
  return (a, b) => (value(a) ?? Infinity) - (value(b) ?? Infinity);
}

const ORDERS = {
  worst: (a, b) => wrong(b) - wrong(a) || by((c) => c.justification)(a, b),
  background: by((c) => c.share),
  sure: by((c) => -c.probability),
  name: (a, b) => a.source.localeCompare(b.source, undefined, { numeric: true }),
};

const FILTERS = {
  "": () => true,
  wrong,
  bad: (c) => c.state === "bad",
  scene: (c) => c.share !== null && c.share < 0.5,
};

function card(clip) {
  const badges = [element("span", { class: clip.state }, clip.verdict)];
  if (wrong(clip)) badges.unshift(element("span", { class: "bad" }, `wrong: ${clip.truth}`));
  const split = element("span", { class: "split" }, element("i"));
  split.firstChild.style.width = span(clip.share ?? 0);
  return element("li", {}, element("a", { class: "clip", href: clip.page },
    element("img", { src: clip.thumbnail, loading: "lazy", decoding: "async", alt: "", width: 210, height: 150 }),
    element("div", {},
      element("b", {}, `${clip.predicted} ${percent(clip.probability)}`),
      element("span", { class: "source", title: clip.source }, clip.source),
      clip.class === clip.predicted ? null : element("span", { class: "source" }, `explained: why “${clip.class}”?`),
      clip.share === null ? null : split,
      clip.share === null ? null : element("span", { class: "source" }, `the actor carries ${percent(clip.share)}`),
      element("span", { class: "badges" }, ...badges),
      clip.state === "good" ? null : element("span", { class: "reason" }, clip.reason))));
}

function show() {
  const name = byId("class").value;
  const kept = clips.filter((c) => (!name || named(c).includes(name)) && FILTERS[byId("state").value](c));
  kept.sort(ORDERS[byId("sort").value]);
  byId("clips").replaceChildren(...kept.map(card));
  byId("count").textContent = `${kept.length} of ${clips.length}`;
}

function summarise() {
  const labelled = clips.filter((c) => c.truth !== null);
  const weak = clips.filter(FILTERS.bad).length;
  const parts = [`${weak} weak explanation${weak === 1 ? "" : "s"}`,
    `${clips.filter(FILTERS.scene).length} lean on the background`];
  if (labelled.length) parts.unshift(`${labelled.filter(wrong).length} of ${labelled.length} predictions wrong`);
  byId("summary").textContent = parts.join(" · ");
}

for (const name of [...new Set(clips.flatMap(named))].sort()) {
  byId("class").append(element("option", { value: name }, name));
}
byId("filters").addEventListener("change", show);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
summarise();
show();
document.documentElement.dataset.ready = "true";
