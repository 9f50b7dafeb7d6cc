"use strict";

/* One expression: its video under masks, its scores, its tracks. */

const MODES = [
  ["all", "side by side"],
  ["truth", "ground truth"],
  ["selection", "selection"],
  ["difference", "difference"],
  ["oracle", "oracle"],
  ["none", "no masks"],
  ["other", "other run"],
];
const DIFFERENCES = [["hit", "correct"], ["missed", "missed"], ["wrong", "wrong"]];
const PANELS = ["truth", "selection", "difference", "oracle"];
const MAX_VIDEOS = 6;

const $ = (id) => document.getElementById(id);
const percent = (share) => (100 * share).toFixed(1);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const videos = new Map(); // file -> promise of its content
const waiting = new Map(); // file -> what takes the content

function loadVideo(file) {
  if (!videos.has(file)) {
    videos.set(file, new Promise((take, fail) => {
      waiting.set(file, take);
      const script = make("script", { src: `data/${file}.js` });
      script.onload = () => script.remove();
      script.onerror = () => {
        videos.delete(file);
        fail(new Error(`data/${file}.js cannot be read`));
      };
      document.head.append(script);
    }));
    if (videos.size > MAX_VIDEOS) videos.delete(videos.keys().next().value);
  }
  return videos.get(file);
}

function addVideo(file, content) {
  const frames = content.frames.map((_, idx) => make("img", { src: `frames/${file}/${idx}.jpg` }));
  waiting.get(file)({ ...content, images: frames });
  waiting.delete(file);
}

const viewer = {
  entry: null, video: null, mode: "all", tracks: [], frame: 0, timer: null, changes: null, isByHand: false,

  /* Shows an entry; changes(step) is asked for its neighbours. */
  async open(entry, { threshold, label_iou: labelIou }, changes) {
    const isNewVideo = this.entry?.file !== entry.file || !$("viewer").open;
    Object.assign(this, { entry, threshold, labelIou, changes, tracks: [] });
    if (this.mode === "track" || !this.has(this.mode)) this.mode = "all";
    if (!$("viewer").open) {
      $("viewer").showModal();
      $("viewer").focus();
    }
    this.describe();
    try {
      const video = await loadVideo(entry.file);
      if (this.entry !== entry) return;
      this.video = video;
    } catch (error) {
      this.fail(error);
      return;
    }
    if (isNewVideo) this.frame = 0;
    $("place").max = this.video.frames.length - 1;
    this.listTracks();
    this.lay();
    this.drawCourse();
  },

  /* J of every frame, as a plot under the player; frame by frame, so that the page stays alive. */
  async drawCourse() {
    const { entry, video } = this;
    const course = { selection: [], oracle: [] };
    $("course").hidden = true;
    for (let frame = 0; frame < video.frames.length; frame++) {
      const [[truth]] = layersOf("truth", entry, video, frame, []);
      for (const [name, values] of Object.entries(course)) {
        values.push(overlap(truth, layersOf(name, entry, video, frame, [])[0][0]));
      }
      if (frame % 8 === 7) await new Promise((go) => { setTimeout(go); });
      if (entry !== this.entry || !$("viewer").open) return;
    }
    const last = Math.max(video.frames.length - 1, 1);
    const paths = Object.entries(course).map(([name, values]) => {
      const points = values.length > 1 ? values : [...values, ...values];
      return `<path class="${name}" d="M${points.map((j, at) => `${at} ${(1 - j).toFixed(3)}`).join("L")}"/>`;
    });
    const lowest = course.selection.indexOf(Math.min(...course.selection));
    const words = `lowest of the selection: ${percent(course.selection[lowest])}, frame ${video.frames[lowest]}`;
    $("course").innerHTML = `<svg viewBox="0 0 ${last} 1" preserveAspectRatio="none" role="img">${paths.reverse().join("")}<line y1="0" y2="1"/></svg>`;
    const svg = $("course").firstChild;
    svg.ariaLabel = `J of each frame; ${words}`;
    svg.onclick = ({ clientX }) => {
      const { left, width } = svg.getBoundingClientRect();
      this.stop();
      this.step(Math.min(last, Math.round(((clientX - left) / width) * last)) - this.frame);
    };
    const key = (name, word) => make("span", {}, make("span", { className: `key bar-${name}` }), word);
    $("course").append(make("figcaption", {}, make("span", { textContent: "J of each frame:" }), key("selection", "selection"), key("oracle", "oracle"), words));
    $("course").hidden = false;
    this.markFrame();
  },

  markFrame() {
    const line = $("course").querySelector("line");
    for (const name of line ? ["x1", "x2"] : []) line.setAttribute(name, this.frame);
  },

  close() {
    this.stop();
    $("viewer").close();
  },

  describe() {
    const { text, video, expression, kind, objects, groups, answers } = this.entry;
    $("sentence").textContent = text;
    const labels = Object.entries(groups).map(([name, label]) => `${name} ${label}`);
    $("about").textContent = [
      `video ${video}, expression ${expression}`, ...(kind ? [`kind ${kind}`] : []),
      objects.length ? `means object${objects.length > 1 ? "s" : ""} ${objects.join(", ")}` : "means nothing", `groups: ${labels.join(", ")}`,
    ].join("  ·  ");
    const head = make("tr", {}, ...["", "J", "F", "J&F", "tracks"].map((name) => make("th", { scope: "col", textContent: name })));
    const rows = Object.entries(answers).map(([name, answer]) => make("tr", {},
      make("th", { scope: "row", textContent: name === "other" ? "other run" : name }),
      ...["J", "F", "J&F"].map((measure) => make("td", { textContent: percent(answer[measure]) })),
      make("td", { textContent: answer.tracks?.length ?? "-" })));
    $("scores").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  },

  listTracks() {
    const { selection, oracle } = this.entry.answers;
    const scores = this.video.scores[this.entry.expression];
    $("rule").textContent = scores.length
      ? `by score; click to see one, shift-click for several; IoU: with what is meant, mean over frames; correct: with one object above ${this.labelIou}`
      : "there are none";
    let hasLine = false;
    const rows = [];
    for (const [idx, score, isCorrect, iou] of scores) {
      if (!hasLine && !selection.tracks.includes(idx)) {
        hasLine = true;
        rows.push(make("div", { className: "line-at", textContent: `threshold ${this.threshold}` }));
      }
      rows.push(this.rowOf(idx, score, [
        ...(selection.tracks.includes(idx) ? ["selected"] : []),
        ...(oracle.tracks.includes(idx) ? ["oracle"] : []), ...(isCorrect ? ["correct"] : []),
        ...(iou === null ? [] : [`IoU ${percent(iou)}`]),
      ]));
    }
    $("tracks").replaceChildren(...rows);
  },

  rowOf(idx, score, marks) {
    const { source, prompt, for: madeFor } = this.video.tracks[idx];
    const bar = make("span", { className: "bar" }, make("i"));
    bar.firstChild.style.width = `${100 * score}%`;
    const from = prompt < 0 ? "unknown frame" : `frame ${prompt}`;
    const what = [`prompt: ${source}, ${from}${madeFor ? ", for this expression" : ""}`, ...marks].join("  ·  ");
    const row = make("button", { type: "button", className: "track" }, `track ${idx}`, bar,
      make("b", { textContent: score.toFixed(3) }), make("span", { className: "what", textContent: what }));
    row.dataset.track = idx;
    row.classList.toggle("chosen", marks.includes("selected"));
    row.onclick = (event) => this.chooseTrack(idx, event.shiftKey);
    return row;
  },

  chooseTrack(idx, keepsOthers) {
    const others = keepsOthers ? this.tracks.filter((other) => other !== idx) : [];
    const isOff = this.mode === "track" && this.tracks.includes(idx) && (keepsOthers || this.tracks.length === 1);
    this.tracks = isOff ? others : [...others, idx];
    if (this.tracks.length === 1 && !isOff) this.frame = this.video.tracks[idx].prompt_at ?? this.frame;
    this.setMode(this.tracks.length ? "track" : "all");
    $("panels").scrollIntoView({ block: "nearest" });
  },

  /* The other run's masks are here only where it chose among the same tracks. */
  has(mode) {
    return mode !== "other" || Boolean(this.entry.answers.other?.tracks);
  },

  setMode(mode) {
    if (!this.has(mode)) return;
    this.mode = mode;
    if (mode !== "track") this.tracks = [];
    this.lay();
  },

  /* Makes the panels of the mode. */
  lay() {
    if (!this.video) return;
    for (const button of $("modes").children) {
      button.ariaPressed = String(button.dataset.mode === this.mode);
      button.hidden = !this.has(button.dataset.mode);
    }
    for (const row of $("tracks").querySelectorAll(".track")) {
      row.ariaPressed = String(this.tracks.includes(Number(row.dataset.track)));
    }
    const shown = this.mode === "all" ? PANELS : [this.mode];
    const names = { ...Object.fromEntries(MODES), track: `track ${this.tracks.join(", ")}` };
    delete $("panels").dataset.drawn;
    $("panels").className = shown.length > 1 ? "four" : "";
    const [height, width] = this.video.size;
    const tall = shown.length > 1 ? 31 : 66;
    $("panels").replaceChildren(...shown.map((mode) => {
      const canvas = make("canvas", { role: "img" });
      Object.assign(canvas.dataset, { mode, name: names[mode] });
      canvas.style.width = `min(100%, ${((tall * width) / height).toFixed(1)}vh)`;
      const panel = make("figure", { className: "panel" }, canvas, this.captionOf(mode, names[mode]));
      panel.classList.toggle("coarse", Math.max(height, width) < 240);
      return panel;
    }));
    this.draw();
  },

  /* A name with its colours. */
  captionOf(mode, name) {
    const key = (colour) => make("span", { className: `key mask-${colour}` });
    const words = {
      none: [name],
      difference: [name, ...DIFFERENCES.map(([colour, word]) => [key(colour), word])],
    };
    const parts = (words[mode] ?? [[key(mode), name]]).map((part) => make("span", {}, ...[part].flat()));
    parts.at(-1).append(make("span", { className: "empty" }));
    return make("figcaption", {}, ...parts);
  },

  fail(error) {
    const message = make("p", { textContent: error.message });
    message.setAttribute("role", "alert");
    $("panels").replaceChildren(message);
  },

  async draw() {
    const { video, entry, frame } = this;
    const image = video.images[frame];
    $("place").value = frame;
    this.markFrame();
    $("frame").textContent = `${video.frames[frame]} (${frame + 1}/${video.frames.length})`;
    $("place").setAttribute("aria-valuetext", `frame ${$("frame").textContent}`);
    try {
      await image.decode();
    } catch {
      if (image === this.video?.images[this.frame]) this.fail(new Error(`${image.getAttribute("src")} cannot be read`));
      return;
    }
    if (video !== this.video || entry !== this.entry || frame !== this.frame) return;
    for (const canvas of $("panels").querySelectorAll("canvas")) {
      const layers = layersOf(canvas.dataset.mode, entry, video, frame, this.tracks);
      drawFrame(canvas, image, video.size, layers);
      const isEmpty = layers.length && layers.every(([mask]) => !mask.includes(1));
      const empty = isEmpty ? ": no mask on this frame" : "";
      canvas.parentElement.querySelector(".empty").textContent = empty;
      canvas.ariaLabel = `frame ${video.frames[frame]}, ${canvas.dataset.name}${empty}`;
    }
    $("panels").dataset.drawn = `${entry.video}/${entry.expression}/${frame}`;
  },

  step(by) {
    if (!this.video) return;
    const count = this.video.frames.length;
    this.frame = (this.frame + by + count) % count;
    if ($("panels").querySelector("canvas")) this.draw();
    else this.lay(); // behind a frame that could not be read
  },

  play() {
    if (this.timer) return this.stop();
    this.timer = setInterval(() => this.step(1), 1000 / Number($("speed").value));
    $("play").textContent = "\u275a\u275a";
    $("play").ariaLabel = "stop";
    return undefined;
  },

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    $("play").textContent = "\u25b6";
    $("play").ariaLabel = "play";
  },

  /* Keys of a button or menu that was reached by Tab; one that was clicked leaves them to the viewer. */
  isOfControl({ target, key }) {
    if (this.isByHand) return false;
    return key === " " ? target.matches("button, select") : key.startsWith("Arrow") && target.matches("select");
  },

  key(event) {
    if (event.key === "Tab") this.isByHand = false;
    if (event.ctrlKey || event.metaKey || event.altKey || this.isOfControl(event)) return;
    const actions = {
      " ": () => this.play(),
      ArrowLeft: () => { this.stop(); this.step(-1); },
      ArrowRight: () => { this.stop(); this.step(1); },
      ArrowUp: () => this.changes(-1),
      ArrowDown: () => this.changes(1),
    };
    const number = Number(event.key);
    if (number >= 1 && number <= MODES.length) actions[event.key] = () => this.setMode(MODES[number - 1][0]);
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  },
};

for (const [idx, [mode, name]] of MODES.entries()) {
  const button = make("button", { type: "button", textContent: name, title: `key ${idx + 1}` });
  button.dataset.mode = mode;
  button.onclick = () => viewer.setMode(mode);
  $("modes").append(button);
}
$("viewer").addEventListener("pointerdown", () => { viewer.isByHand = true; });
$("viewer").addEventListener("keydown", (event) => viewer.key(event));
$("viewer").addEventListener("keyup", (event) => { if (event.key === " " && !viewer.isOfControl(event)) event.preventDefault(); });
$("viewer").addEventListener("close", () => viewer.stop());
$("viewer").addEventListener("click", ({ target, clientX, clientY }) => {
  const { left, right, top, bottom } = $("viewer").getBoundingClientRect();
  const isInside = clientX >= left && clientX < right && clientY >= top && clientY < bottom;
  if (target === $("viewer") && !isInside) viewer.close();
});
$("play").onclick = () => viewer.play();
$("place").oninput = () => { viewer.stop(); viewer.step(Number($("place").value) - viewer.frame); };
$("speed").onchange = () => { if (viewer.timer) { viewer.stop(); viewer.play(); } };
$("before").onclick = () => viewer.changes(-1);
$("after").onclick = () => viewer.changes(1);
$("close").onclick = () => viewer.close();
