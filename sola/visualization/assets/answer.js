"use strict";

/* An answer: the clip under the masks of a sentence, its candidate tracks, and the threshold. */

const [MAX_OUTLINED, MAX_HEIGHT_PX] = [10, 560];
const SELECTED = `rgb(${COLOURS.selection.join(" ")})`;

const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* A pixel inside a mask near its middle: [row, column]; null if the mask is empty. */
function middleOf(mask, [, width]) {
  const inside = [];
  mask.forEach((is, at) => { if (is) inside.push(at); });
  if (!inside.length) return null;
  const row = Math.floor(inside[Math.floor(inside.length / 2)] / width);
  const columns = inside.filter((at) => Math.floor(at / width) === row);
  return [row, columns[Math.floor(columns.length / 2)] % width];
}

const answer = {
  frame: 0, sentence: 0, alone: null, timer: null,

  open(content) {
    const images = content.frames.map((_, idx) => make("img", { src: `${idx}.jpg` }));
    Object.assign(this, { content, images, threshold: content.threshold });
    $("sentence").replaceChildren(...content.sentences.map(
      ({ text }, idx) => make("option", { value: idx, textContent: text })));
    $("place").max = images.length - 1;
    $("threshold").value = this.threshold;
    $("download").textContent = `(zip) of all sentences at threshold ${content.threshold}, that of this run`;
    $("picture").style.maxWidth = `${(MAX_HEIGHT_PX * content.size[1]) / content.size[0]}px`;
    $("picture").classList.toggle("coarse", Math.max(...content.size) < 240);
    this.show();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play();
  },

  /* Candidates of the sentence by score: [[track, score], ...]. */
  ranked() {
    const { tracks, scores } = this.content.sentences[this.sentence];
    return tracks.map((track, idx) => [track, scores[idx]]).sort((a, b) => b[1] - a[1]);
  },

  /* Lists the candidates, and draws the frame. */
  show() {
    const ranked = this.ranked();
    this.selected = ranked.filter(([, score]) => score > this.threshold).map(([track]) => track);
    this.others = ranked.map(([track]) => track).filter((track) => !this.selected.includes(track));
    const rows = ranked.map(([track, score]) => this.rowOf(track, score));
    rows.splice(this.selected.length, 0, make("div", { className: "line-at", textContent: "threshold" }));
    $("tracks").replaceChildren(...rows);
    $("value").textContent = Number(this.threshold.toFixed(3));
    $("count").textContent = `${this.selected.length} of ${ranked.length} tracks selected; click one to see only it`;
    $("shown").textContent = this.alone === null ? "selected" : `track ${this.alone}`;
    $("outlined").textContent = this.others.length > MAX_OUTLINED ? `the ${MAX_OUTLINED} best others` : "others";
    this.draw();
  },

  rowOf(track, score) {
    const bar = make("span", { className: "bar" }, make("i"));
    bar.firstChild.style.width = `${100 * score}%`;
    const isSelected = this.selected.includes(track);
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = isSelected ? SELECTED : this.colourOf(track);
    const row = make("button", { type: "button", className: "track" }, make("span", {}, swatch, `${track}`), bar,
      make("b", { textContent: score.toFixed(3) }), make("span", { className: "tick", textContent: isSelected ? "\u2713" : "" }));
    row.dataset.track = track;
    row.classList.toggle("chosen", isSelected);
    row.ariaPressed = String(this.alone === track);
    row.ariaLabel = `track ${track}, score ${score.toFixed(3)}${isSelected ? ", selected" : ""}`;
    row.onclick = () => {
      this.alone = this.alone === track ? null : track;
      this.show();
      $("tracks").querySelector(`[data-track="${track}"]`).focus();
    };
    return row;
  },

  colourOf(track) {
    return `rgb(${this.content.tracks[track].colour.join(" ")})`;
  },

  async draw() {
    const { frame, sentence, content: { size, times_s: times, tracks } } = this;
    const image = this.images[frame];
    $("place").value = frame;
    $("time").textContent = `${times[frame].toFixed(1)} / ${times.at(-1).toFixed(1)} s`;
    await image.decode();
    if (frame !== this.frame || sentence !== this.sentence) return;
    const maskOf = (track) => unite([tracks[track].masks], frame, size);
    const filled = this.alone === null ? this.selected : [this.alone];
    const outlined = this.alone === null && $("others").checked ? this.others.slice(0, MAX_OUTLINED) : [];
    const union = unite(filled.map((track) => tracks[track].masks), frame, size);
    drawFrame($("canvas"), image, size, [
      ...outlined.map((track) => {
        const mask = maskOf(track);
        const core = erode(mask, size);
        return [mask.map((inside, at) => inside & (1 - core[at])), tracks[track].colour];
      }),
      [union, COLOURS.selection]]);
    $("numbers").replaceChildren(...[...filled, ...outlined].flatMap((track) => {
      const place = middleOf(maskOf(track), size);
      if (!place) return [];
      const number = make("span", { textContent: track });
      number.style.top = `${(100 * (place[0] + 0.5)) / size[0]}%`;
      number.style.left = `${(100 * (place[1] + 0.5)) / size[1]}%`;
      number.style.borderColor = filled.includes(track) ? SELECTED : this.colourOf(track);
      return [number];
    }));
    $("canvas").ariaLabel = `frame at ${times[frame].toFixed(1)} s, shown tracks: ${filled.join(", ") || "none"}`;
    $("picture").dataset.drawn = `${sentence}/${frame}/${filled.join(",")}`;
  },

  play() {
    if (this.timer) {
      clearTimeout(this.timer);
      this.timer = null;
    } else this.wait();
    $("play").textContent = this.timer ? "\u275a\u275a" : "\u25b6";
    $("play").ariaLabel = this.timer ? "stop" : "play";
  },

  /* Shows the next frame when its time has come. */
  wait() {
    const times = this.content.times_s;
    this.timer = setTimeout(async () => {
      this.frame = (this.frame + 1) % this.images.length;
      await this.draw();
      if (this.timer) this.wait();
    }, 1000 * (times[this.frame + 1] - times[this.frame]));
  },
};

$("sentence").oninput = () => { answer.sentence = Number($("sentence").value); answer.alone = null; answer.show(); };
$("threshold").oninput = () => { answer.threshold = Number($("threshold").value); answer.alone = null; answer.show(); };
$("place").oninput = () => { answer.frame = Number($("place").value); answer.draw(); };
$("others").oninput = () => answer.draw();
$("play").onclick = () => answer.play();

/* The frame of the page around this one has the height of its content. */
if (window.frameElement) {
  document.documentElement.style.overflow = "hidden";
  new ResizeObserver(() => { window.frameElement.style.height = `${document.body.offsetHeight + 2}px`; }).observe(document.body);
}
