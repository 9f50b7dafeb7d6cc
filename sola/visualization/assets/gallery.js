"use strict";

/* All expressions: filtered, sorted, and made into cards as they come into sight. */

const CARDS_AT_ONCE = 60;
const PREVIEW_FPS = 6;
const JF = "J&F";
const jf = (entry, name = "selection") => entry.answers[name][JF];
const ORDERS = {
  worst: (a, b) => jf(a) - jf(b),
  best: (a, b) => jf(b) - jf(a),
  selection: (a, b) => jf(b, "oracle") - jf(b) - (jf(a, "oracle") - jf(a)),
  generation: (a, b) => jf(a, "oracle") - jf(b, "oracle"),
  lost: (a, b) => jf(a) - jf(a, "other") - (jf(b) - jf(b, "other")),
  won: (a, b) => jf(b) - jf(b, "other") - (jf(a) - jf(a, "other")),
  order: (a, b) => a.idx - b.idx,
};

const sight = new IntersectionObserver(
  ([seen]) => { if (seen.isIntersecting) report.addCards(); }, { rootMargin: "600px" });

const report = {
  entries: [], shown: [], numCards: 0, opened: -1, opener: null, rules: {}, choices: {},

  /* What data/index.js calls. */
  open({ expressions, ...rules }) {
    this.rules = rules;
    this.entries = expressions.map((entry, idx) => ({
      ...entry, idx,
      words: `${entry.text} ${entry.video} ${entry.expression} ${entry.video}/${entry.expression}`.toLowerCase(),
      labels: { kind: entry.kind, ...entry.groups },
    }));
    if (!this.entries[0]?.answers.other) {
      for (const name of ["lost", "won"]) $("sort").querySelector(`[value=${name}]`).remove();
      $("signs").remove();
    }
    this.offerChoices();
    this.filter();
    $("picked").append(...this.examples().map(([word, entry]) => this.exampleOf(word, entry)));
    const asked = location.hash.match(/^#expression-(\d+)$/);
    if (asked && this.entries[asked[1]]) this.view(this.shown.indexOf(this.entries[asked[1]]));
  },

  addVideo,

  /* Two of the best, the median and the worst answers, of different videos if possible. */
  examples() {
    const meant = this.entries.filter((entry) => entry.objects.length);
    const ranked = (meant.length ? meant : [...this.entries]).sort(ORDERS.best);
    const middle = ranked.length >> 1;
    const found = [];
    const pick = (word, candidates) => {
      const left = candidates.filter((entry) => !found.some(([, other]) => other === entry));
      const second = left.find((entry) => entry.video !== left[0].video) ?? left[1];
      found.push(...[left[0], second].filter(Boolean).map((entry) => [word, entry]));
    };
    pick("best", ranked);
    pick("worst", [...ranked].reverse());
    pick("median", [...ranked.slice(middle), ...ranked.slice(0, middle).reverse()]);
    return ["best", "median", "worst"].flatMap((word) => found.filter(([name]) => name === word));
  },

  exampleOf(word, entry) {
    const card = this.cardOf(entry);
    card.querySelector(".facts").lastChild.replaceWith(word);
    return card;
  },

  /* A menu for kind and for each group that divides the expressions. */
  offerChoices() {
    for (const name of Object.keys(this.entries[0]?.labels ?? {})) {
      const labels = [...new Set(this.entries.map((entry) => entry.labels[name]))]
        .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      if (labels.length < 2) continue;
      const options = labels.map((label) => make("option", { value: label, textContent: label || "(none)" }));
      const menu = make("select", { id: `choose-${name}` }, make("option", { value: "*", textContent: "any" }), ...options);
      this.choices[name] = menu;
      $("choices").append(make("label", {}, `${name} `, menu));
    }
  },

  filter() {
    const words = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [from, to] = [Number($("from").value || 0) / 100, Number($("to").value || 100) / 100];
    const wanted = Object.entries(this.choices).filter(([, menu]) => menu.value !== "*");
    this.shown = this.entries
      .filter((entry) => words.every((word) => entry.words.includes(word)) &&
        jf(entry) >= from && jf(entry) <= to &&
        wanted.every(([name, menu]) => entry.labels[name] === menu.value))
      .sort(ORDERS[$("sort").value]);
    this.numCards = 0;
    $("cards").replaceChildren();
    this.addCards();
    const mean = this.shown.reduce((sum, entry) => sum + jf(entry), 0) / this.shown.length;
    $("count").textContent = `${this.shown.length} of ${this.entries.length} expressions` +
      (this.shown.length ? `, mean J&F ${percent(mean)}` : "");
  },

  addCards() {
    const next = this.shown.slice(this.numCards, this.numCards + CARDS_AT_ONCE);
    $("cards").append(...next.map((entry) => this.cardOf(entry)));
    this.numCards += next.length;
    sight.unobserve($("more"));
    if (this.numCards < this.shown.length) sight.observe($("more"));
  },

  cardOf(entry) {
    const bar = make("span", { className: "bar" }, make("i"), make("u"));
    bar.children[0].style.width = `${100 * jf(entry)}%`;
    bar.children[1].style.left = `${100 * jf(entry, "oracle")}%`;
    bar.title = `selection ${percent(jf(entry))}, oracle ${percent(jf(entry, "oracle"))}`;
    const lead = entry.answers.other ? 100 * (jf(entry) - jf(entry, "other")) : null;
    const against = lead === null ? "" : ` (${lead < 0 ? "" : "+"}${lead.toFixed(1)})`;
    const card = make("button", { type: "button", className: "card" },
      make("img", { src: `thumbs/${entry.idx}.jpg`, loading: "lazy", alt: `video ${entry.video}` }),
      make("span", { className: "text", dir: "auto", title: entry.text, textContent: entry.text }), bar,
      make("span", { className: "facts" }, make("b", { textContent: `${JF} ${percent(jf(entry))}${against}` }), entry.kind));
    card.dataset.expression = entry.idx;
    card.onclick = () => this.viewEntry(entry, card);
    card.onpointerenter = ({ pointerType }) => { if (pointerType === "mouse" && !STILL.matches) preview.start(card, entry); };
    card.onpointerleave = () => preview.stop();
    return card;
  },

  /* Opens an expression from a card, which may be an example that the filters hide. */
  viewEntry(entry, card) {
    preview.stop();
    if (!this.shown.includes(entry)) {
      $("filters").reset();
      this.filter();
    }
    this.view(this.shown.indexOf(entry));
    this.opener = $("picked").contains(card) ? card : null;
  },

  /* Opens the expression at a place among those shown. */
  view(place) {
    if (place < 0 || place >= this.shown.length) return;
    if (this.opened !== place) this.opener = null;
    this.opened = place;
    location.replace(`#expression-${this.shown[place].idx}`);
    viewer.open(this.shown[place], this.rules, (step) => this.view(this.opened + step));
  },

  /* The card that was left has the focus again. */
  back() {
    location.replace("#gallery-left");
    while (this.numCards <= this.opened && this.numCards < this.shown.length) this.addCards();
    (this.opener ?? $("cards").children[this.opened])?.focus();
  },

  moveFocus(event) {
    const cards = [...event.currentTarget.children];
    const at = cards.indexOf(document.activeElement);
    const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (at < 0 || !by) return;
    event.preventDefault();
    if (at + by >= cards.length && cards.length === this.numCards) this.addCards();
    event.currentTarget.children[at + by]?.focus();
  },
};

/* Plays the difference on a card while the mouse is on it. */
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const preview = {
  card: null, timer: null,

  async start(card, entry) {
    this.stop();
    this.card = card;
    const canvas = make("canvas", { ariaHidden: "true" });
    let frame = 0;
    const step = async (video) => {
      const image = video.images[frame];
      await image.decode();
      if (this.card !== card) return;
      drawFrame(canvas, image, video.size, layersOf("difference", entry, video, frame, []));
      canvas.dataset.frame = frame;
      if (!canvas.isConnected) card.prepend(canvas);
      frame = (frame + 1) % video.images.length;
      this.timer = setTimeout(() => step(video).catch(() => this.stop()), 1000 / PREVIEW_FPS);
    };
    await loadVideo(entry.file).then(step).catch(() => this.stop()); // the viewer says what is wrong
  },

  stop() {
    clearTimeout(this.timer);
    this.card?.querySelector("canvas")?.remove();
    this.card = null;
  },
};

$("filters").addEventListener("input", () => report.filter());
$("filters").addEventListener("reset", () => setTimeout(() => report.filter()));
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("viewer").addEventListener("close", () => report.back());
for (const name of ["cards", "picked"]) $(name).addEventListener("keydown", (event) => report.moveFocus(event));
$("failures").addEventListener("click", () => {
  $("filters").reset();
  $("sort").value = "worst";
  report.filter();
});
addEventListener("hashchange", () => {
  const details = document.getElementById(location.hash.slice(1))?.closest("details");
  if (details) details.open = true;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || $("viewer").open || document.activeElement.matches("input, select")) return;
  event.preventDefault();
  $("text").focus();
});

const THEME = "sola-report-theme";
const isDark = () => (document.documentElement.dataset.theme ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
if (localStorage.getItem(THEME)) document.documentElement.dataset.theme = localStorage.getItem(THEME);
$("theme").onclick = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem(THEME, document.documentElement.dataset.theme);
};
