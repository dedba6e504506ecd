// The clip on a canvas: its frame, the heat on top, the outlines of regions.

const FINER = 4; // outlines are looked for on a grid so much finer than the cells

class Stage {
  /** clip: frames and regions of the page's data. palette: 768 bytes. colors: of regions. */
  constructor(canvas, clip, palette, colors) {
    Object.assign(this, { canvas, clip, palette, colors });
    this.pen = canvas.getContext("2d");
    this.image = new Image();
    this.regions = clip.regions && { ...clip.regions, values: bytes(clip.regions.data) };
    this.fields = new Map();
    this.heats = new Map();
  }

  /** Resolves once the frames can be drawn. */
  async load() {
    this.image.src = this.clip.frames.uri;
    await this.image.decode();
  }

  resize() {
    const { width, height } = this.clip.frames;
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.canvas.style.maxWidth = `${Math.max(240, (0.7 * window.innerHeight * width) / height)}px`;
    const wide = Math.round(this.canvas.clientWidth * Math.min(2, window.devicePixelRatio || 1));
    this.canvas.width = wide;
    this.canvas.height = Math.round((wide * height) / width);
  }

  /** explanation: of the page's data. top: heat that gets the last colour. */
  draw(explanation, state, top) {
    const { pen, canvas } = this;
    const { columns, width, height } = this.clip.frames;
    const x = (state.frame % columns) * width;
    const y = Math.floor(state.frame / columns) * height;
    pen.globalCompositeOperation = "source-over";
    pen.globalAlpha = 1;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.image, x, y, width, height, 0, 0, canvas.width, canvas.height);
    if (state.heat > 0) this.drawHeat(explanation, state, top);
    if (this.regions && (state.outlines || state.hover !== null)) this.drawRegions(explanation, state);
  }

  drawHeat(explanation, state, top) {
    const { pen, canvas } = this;
    // Colour is taken from the frame, so that what is coloured is heat.
    pen.globalCompositeOperation = "saturation";
    pen.globalAlpha = 0.8 * Math.min(1, 2 * state.heat);
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.globalCompositeOperation = "source-over";
    pen.globalAlpha = state.heat;
    pen.drawImage(this.heatLayer(explanation, state.frame, top), 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 1;
  }

  heatLayer(explanation, frame, top) {
    const { shape, data, top: own } = explanation.heat;
    if (!this.heats.has(explanation)) this.heats.set(explanation, bytes(data));
    const [, h, w] = shape;
    const values = this.heats.get(explanation).subarray(frame * h * w, (frame + 1) * h * w);
    const layer = new OffscreenCanvas(w, h);
    const image = new ImageData(w, h);
    const gain = top > 0 ? own / top : 0;
    values.forEach((value, i) => {
      const level = Math.min(255, Math.round(value * gain));
      image.data.set(this.palette.subarray(3 * level, 3 * level + 3), 4 * i);
      image.data[4 * i + 3] = 255 * Math.pow(level / 255, 0.7);
    });
    layer.getContext("2d").putImageData(image, 0, 0);
    return layer;
  }

  drawRegions(explanation, state) {
    const { pen, canvas } = this;
    const step = stepOf(state.frame, explanation, this.clip);
    if (state.hover !== null) this.spotlight(step, state.hover);
    const drawn = state.hover === null ? explanation.drawn : [state.hover];
    const unit = canvas.width / Math.max(320, canvas.clientWidth);
    for (const k of [...drawn].reverse()) {
      const path = new Path2D();
      const scale = new DOMMatrix().scale(canvas.width, canvas.height);
      path.addPath(this.outline(step, k), scale);
      pen.lineCap = "round";
      pen.strokeStyle = "rgba(0, 0, 0, 0.65)";
      pen.lineWidth = 5 * unit;
      pen.stroke(path);
      pen.strokeStyle = this.colors[k % this.colors.length];
      pen.lineWidth = 2.5 * unit;
      pen.stroke(path);
    }
  }

  /** Everything but a region is darkened. */
  spotlight(step, region) {
    const { values, wide, tall } = this.field(step, region);
    const layer = new OffscreenCanvas(wide, tall);
    const image = new ImageData(wide, tall);
    values.forEach((lead, i) => (image.data[4 * i + 3] = lead > 0 ? 0 : 150));
    layer.getContext("2d").putImageData(image, 0, 0);
    this.pen.drawImage(layer, 0, 0, this.canvas.width, this.canvas.height);
  }

  /** By how much a region leads all others at a time step, on the finer grid. */
  field(step, region) {
    const key = `${step}/${region}`;
    if (this.fields.has(key)) return this.fields.get(key);
    const [, count, h, w] = this.regions.shape;
    const [tall, wide] = [h * FINER, w * FINER];
    const values = new Float32Array(tall * wide);
    for (let i = 0; i < values.length; i++) {
      const [x, y] = [((i % wide) + 0.5) / FINER - 0.5, (Math.floor(i / wide) + 0.5) / FINER - 0.5];
      let [own, best] = [0, 0];
      for (let k = 0; k < count; k++) {
        const share = this.share(step, k, x, y);
        if (k === region) own = share;
        else best = Math.max(best, share);
      }
      values[i] = own - best;
    }
    this.fields.set(key, { values, wide, tall });
    return this.fields.get(key);
  }

  /** A region's share at a place between cells. */
  share(step, region, x, y) {
    const [, count, h, w] = this.regions.shape;
    const start = (step * count + region) * h * w;
    const at = (row, column) => this.regions.values[start + row * w + column];
    const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [x0, x1, y0, y1] = [clamp(left, w), clamp(left + 1, w), clamp(top, h), clamp(top + 1, h)];
    const [fx, fy] = [x - left, y - top];
    const above = at(y0, x0) * (1 - fx) + at(y0, x1) * fx;
    const below = at(y1, x0) * (1 - fx) + at(y1, x1) * fx;
    return above * (1 - fy) + below * fy;
  }

  /** The border of a region by marching squares, in units of the frame. */
  outline(step, region) {
    const { values, wide, tall } = this.field(step, region);
    const path = new Path2D();
    const at = (x, y) =>
      x < 0 || y < 0 || x >= wide || y >= tall ? -1e-3 : values[y * wide + x] || -1e-6;
    const unit = (value, size) => Math.max(0, Math.min(1, (value + 0.5) / size));
    for (let y = -1; y < tall; y++) {
      for (let x = -1; x < wide; x++) {
        const corners = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
        const points = [];
        corners.forEach((a, side) => {
          const b = corners[(side + 1) % 4];
          if (a > 0 === b > 0) return;
          const t = a / (a - b);
          const [px, py] = [[x + t, y], [x + 1, y + t], [x + 1 - t, y + 1], [x, y + 1 - t]][side];
          points.push([unit(px, wide), unit(py, tall)]);
        });
        for (let i = 0; i + 1 < points.length; i += 2) {
          path.moveTo(...points[i]);
          path.lineTo(...points[i + 1]);
        }
      }
    }
    return path;
  }
}

/** The model's time step that a frame belongs to. */
function stepOf(frame, explanation, clip) {
  const steps = explanation.frame_evidence.length || 1;
  return Math.min(steps - 1, Math.floor((frame * steps) / clip.frames.count));
}

/** The frame in the middle of a time step. */
function frameOf(step, explanation, clip) {
  const steps = explanation.frame_evidence.length || 1;
  return Math.floor(((step + 0.5) * clip.frames.count) / steps);
}
