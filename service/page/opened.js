/** One message, opened: the verdict, the letter, what is odd about it, what moved the score, and the teaching. */

import { h } from "./dom.js";
import { feedback } from "./feedback.js";
import { percent, whole } from "./format.js";
import { legend, letter } from "./letter.js";
import { movers } from "./movers.js";
import { scale } from "./scale.js";

export const VERDICTS = { ham: "Ham", unsure: "Unsure", spam: "Spam" };

const MEANINGS = {
  ham: "Mail that somebody wants.",
  unsure: "Too close to call: look at it yourself.",
  spam: "Mail that nobody asked for.",
};
const DEFECTS = "Broken in ways that mail often is";

/** Return the panel of an item whose `result` was asked for with `explain`. */
export function opened(item, thresholds) {
  const { result } = item;
  const { verdict, spam_probability: probability } = result;
  const notes = item.note ? [item.note] : [];
  if (result.truncated) notes.push("It is longer than the model reads: its beginning and its end were read.");
  return h(
    "div",
    { class: `opened ${verdict}` },
    h(
      "section",
      { class: "verdict sheet", "aria-label": "Verdict" },
      h(
        "div",
        { class: "said" },
        h("h2", { tabindex: "-1" }, VERDICTS[verdict]),
        h("p", { class: "meaning" }, MEANINGS[verdict])
      ),
      h("p", { class: "probability" }, h("strong", {}, percent(probability)), " likely to be spam"),
      scale(probability, thresholds)
    ),
    h(
      "div",
      { class: "columns" },
      h("div", { class: "reading" }, legend(), letter(result), notes.map((note) => h("p", { class: "note" }, note))),
      h("div", { class: "margin" }, feedback(item), oddities(result), movers(result.reasons ?? []), small(item))
    )
  );
}

function oddities({ facts = [], defects = [] }) {
  if (!facts.length && !defects.length) return null;
  return h(
    "section",
    { class: "facts" },
    h("h3", {}, "What is odd about it"),
    facts.length ? h("ul", {}, facts.map(({ text }) => h("li", { dir: "auto" }, text))) : null,
    defects.length
      ? h("p", { class: "note" }, `${DEFECTS}: ${defects.map((defect) => defect.replaceAll("_", " ")).join(", ")}.`)
      : null
  );
}

function small({ result, model }) {
  return h("p", { class: "note" }, `${whole(result.tokens)} tokens read by model ${model?.version ?? ""}.`);
}
