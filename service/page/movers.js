/** The words that moved a score most, either way, as a table with bars. */

import { h } from "./dom.js";
import { signed, tame } from "./format.js";

const MOST = 7;

/** Return the table, or null where there is nothing to tell; the same word in several places counts once. */
export function movers(reasons) {
  const words = new Map();
  for (const { text, weight } of reasons) {
    const word = tame(text.trim().replace(/\s+/g, " "));
    if (word) words.set(word, (words.get(word) ?? 0) + weight);
  }
  const sorted = [...words].sort((one, other) => Math.abs(other[1]) - Math.abs(one[1])).slice(0, MOST);
  if (!sorted.length) return null;
  const most = Math.abs(sorted[0][1]);
  sorted.sort((one, other) => other[1] - one[1]);
  return h(
    "section",
    { class: "movers" },
    h("h3", {}, "What moved it"),
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, "Words and how far they moved the log-odds of spam"),
      h("thead", { class: "unseen" }, h("tr", {}, h("th", { scope: "col" }, "Word"), h("th", { scope: "col" }, "Weight"))),
      h(
        "tbody",
        {},
        sorted.map(([word, weight]) =>
          h(
            "tr",
            { class: weight > 0 ? "spam" : "ham" },
            h("th", { scope: "row", dir: "auto" }, word.length > 60 ? `${word.slice(0, 58)}…` : word),
            h("td", { vars: { share: Math.abs(weight) / most } }, h("span", {}, signed(weight)))
          )
        )
      )
    )
  );
}
