/**
 * The probability on a scale with the two thresholds. The scale is one of odds, so that 99 % and 99.9 % stand apart as
 * they do in what they mean: one wrong in a hundred, and one in a thousand.
 */

import { h } from "./dom.js";
import { percent } from "./format.js";

const TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
const FARTHEST = Math.log(0.9997 / 0.0003);

/** Return the picture; `thresholds` may be null while they are not known. */
export function scale(probability, thresholds) {
  const bands = thresholds
    ? [
        [0, share(thresholds.ham_below), "ham"],
        [share(thresholds.ham_below), share(thresholds.spam_from), "unsure"],
        [share(thresholds.spam_from), 1, "spam"],
      ]
    : [[0, 1, "unsure"]];
  return h(
    "div",
    { class: "scale", role: "img", "aria-label": inWords(probability, thresholds) },
    bands.map(([start, end, verdict]) =>
      h("span", { class: `band ${verdict}`, vars: { start, end } }, thresholds ? h("span", {}, verdict) : null)
    ),
    TICKS.map((tick) => h("span", { class: "tick", vars: { at: share(tick) } }, `${+(100 * tick).toPrecision(4)} %`)),
    h("span", { class: `marker ${verdictOf(probability, thresholds)}`, vars: { at: share(probability) } })
  );
}

/** Return what the thresholds make of a probability. */
export function verdictOf(probability, thresholds) {
  if (!thresholds) return "unsure";
  if (probability >= thresholds.spam_from) return "spam";
  return probability < thresholds.ham_below ? "ham" : "unsure";
}

function inWords(probability, thresholds) {
  const said = `The probability of spam is ${percent(probability)}.`;
  if (!thresholds) return said;
  return `${said} Ham is below ${percent(thresholds.ham_below)}, spam from ${percent(thresholds.spam_from)}.`;
}

/** Where a probability stands on the scale, 0 to 1. */
function share(probability) {
  const inside = Math.min(Math.max(probability, 1e-6), 1 - 1e-6);
  const odds = Math.log(inside / (1 - inside));
  return (Math.max(-FARTHEST, Math.min(FARTHEST, odds)) + FARTHEST) / (2 * FARTHEST);
}
