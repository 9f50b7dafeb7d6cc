"use strict";

/* Masks over frames. A mask is a Uint8Array by rows, 1 inside. */

const NAMES = ["truth", "selection", "oracle", "track", "other", "hit", "missed", "wrong"];
const STYLE = getComputedStyle(document.documentElement);
const COLOURS = Object.fromEntries(NAMES.map(
  (name) => [name, STYLE.getPropertyValue(`--mask-${name}`).match(/\d+/g).map(Number)]));
const INK = [20, 20, 20];
const OPACITY = 0.45;
const [STRIPE_PX, PERIOD_PX] = [2, 8];

/* COCO's compressed run lengths: runs outside and inside in turn, down the columns. From the fourth
 * on a length is stored as the difference to the one two before; 5 bits a character, lowest first,
 * bit 5 says that more follow, bit 4 of the last is the sign. */
function decodeRuns(code) {
  const runs = [];
  let at = 0;
  while (at < code.length) {
    let number = 0;
    let shift = 0;
    let bits;
    do {
      bits = code.charCodeAt(at++) - 48;
      number |= (bits & 0x1f) << shift;
      shift += 5;
    } while (bits & 0x20);
    if (bits & 0x10) number |= -1 << shift;
    if (runs.length > 2) number += runs[runs.length - 2];
    runs.push(number);
  }
  return runs;
}

/* Adds the pixels of a code to a mask of [height, width]. */
function addMask(mask, code, [height, width]) {
  let place = 0;
  decodeRuns(code).forEach((length, idx) => {
    const end = place + length;
    if (idx % 2 === 0) place = end;
    while (place < end) {
      const column = Math.floor(place / height);
      const bottom = Math.min(end - column * height, height);
      for (let row = place - column * height; row < bottom; row++) mask[row * width + column] = 1;
      place = column * height + bottom;
    }
  });
}

/* Union of masklets on a frame. */
function unite(masklets, frame, size) {
  const mask = new Uint8Array(size[0] * size[1]);
  for (const masklet of masklets) addMask(mask, masklet[frame], size);
  return mask;
}

/* A mask without its outermost pixels; the picture's border is an edge too. */
function erode(mask, [height, width]) {
  const inner = new Uint8Array(mask.length);
  for (let row = 1; row < height - 1; row++) {
    for (let at = row * width + 1; at < (row + 1) * width - 1; at++) {
      inner[at] = mask[at] & mask[at - 1] & mask[at + 1] & mask[at - width] & mask[at + width];
    }
  }
  return inner;
}

/* Tints the pixels of a mask in RGBA, with a dark line inside one of the colour: one is seen on any object.
 * Stripes are known without seeing the colour. */
function tint(pixels, mask, size, colour, isStriped) {
  const core = erode(mask, size);
  const inmost = erode(core, size);
  for (let at = 0; at < mask.length; at++) {
    if (!mask[at]) continue;
    const isDark = core[at] && !inmost[at];
    const [red, green, blue] = isDark ? INK : colour;
    pixels[4 * at] = red;
    pixels[4 * at + 1] = green;
    pixels[4 * at + 2] = blue;
    const isStripe = isStriped && (Math.floor(at / size[1]) + (at % size[1])) % PERIOD_PX < STRIPE_PX;
    pixels[4 * at + 3] = inmost[at] && !isStripe ? 255 * OPACITY : 255;
  }
}

/* What a mode shows on a frame: [[mask, colour, whether it is striped], ...]. */
function layersOf(mode, entry, video, frame, tracks) {
  const of = (chosen) => unite(chosen.map((idx) => video.tracks[idx].masks), frame, video.size);
  const truth = () => unite(entry.objects.map((id) => video.objects[id]), frame, video.size);
  switch (mode) {
    case "truth": return [[truth(), COLOURS.truth]];
    case "selection": return [[of(entry.answers.selection.tracks), COLOURS.selection]];
    case "other": return [[of(entry.answers.other.tracks), COLOURS.other]];
    case "oracle": return [[of(entry.answers.oracle.tracks), COLOURS.oracle]];
    case "track": return [[of(tracks), COLOURS.track]];
    case "difference": {
      const [meant, found] = [truth(), of(entry.answers.selection.tracks)];
      return [
        [meant.map((inside, at) => inside & found[at]), COLOURS.hit],
        [meant.map((inside, at) => inside & (1 - found[at])), COLOURS.missed],
        [found.map((inside, at) => inside & (1 - meant[at])), COLOURS.wrong, true],
      ];
    }
    default: return [];
  }
}

/* Overlap of two masks; 1 where both are empty. */
function overlap(mask, other) {
  let [shared, either] = [0, 0];
  for (let at = 0; at < mask.length; at++) {
    shared += mask[at] & other[at];
    either += mask[at] | other[at];
  }
  return either ? shared / either : 1;
}

/* Draws a frame with masks. */
function drawFrame(canvas, image, size, layers) {
  const [height, width] = size;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  if (!layers.length) return;
  const cover = new OffscreenCanvas(width, height);
  const picture = new ImageData(width, height);
  for (const [mask, ...look] of layers) tint(picture.data, mask, size, ...look);
  cover.getContext("2d").putImageData(picture, 0, 0);
  context.drawImage(cover, 0, 0);
}
