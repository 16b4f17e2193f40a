/** A message as a person would read it, with the words that moved its score tinted. All of it is text, never markup. */

import { h } from "./dom.js";
import { signed, tame } from "./format.js";
import { heaviest, level, spansOf } from "./spans.js";

const HEADERS = [
  ["from", "From"],
  ["reply_to", "Reply to"],
];
const ASIDES = [
  ["attachments", "Attachments"],
  ["link_hosts", "Where its links lead"],
  ["link_text", "Link texts that name another place"],
  ["hidden_text", "Hidden from the reader"],
];

/** Return the letter of a result that was asked for with `explain`. */
export function letter(result) {
  const { shown } = result;
  if (!shown) return h("p", { class: "letter none" }, "How it reads, and why it got its score, could not be worked out.");
  const reasons = result.reasons ?? [];
  const most = heaviest(reasons);
  const tinted = (field) => stretches(shown[field] ?? "", reasons.filter((reason) => reason.field === field), most);
  const headers = HEADERS.filter(([field]) => shown[field]);
  return h(
    "article",
    { class: "letter", "aria-label": "The message as it reads" },
    h(
      "header",
      {},
      h("h3", { class: "subject", dir: "auto" }, shown.subject ? tinted("subject") : h("span", { class: "none" }, "No subject")),
      h(
        "dl",
        {},
        headers.map(([field, name]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, tinted(field))))
      )
    ),
    shown.body
      ? h("div", { class: "body", dir: "auto", tabindex: "0", role: "group", "aria-label": "Text" }, tinted("body"))
      : h("p", { class: "body none" }, "It has no text."),
    ASIDES.filter(([field]) => shown[field]).map(([field, name]) =>
      h("section", { class: `aside ${field}` }, h("h4", {}, name), h("div", { class: "lines", dir: "auto" }, tinted(field)))
    )
  );
}

/** Return what the tints mean. */
export function legend() {
  const ramp = (way) => [1, 2, 3, 4, 5].map((number) => h("span", { class: `tint ${way} level-${number}` }, "\u2002"));
  return h(
    "p",
    { class: "legend" },
    h("span", {}, "pulls to ham ", h("span", { class: "ramp", "aria-hidden": "true" }, ramp("ham").reverse())),
    h("span", {}, h("span", { class: "ramp", "aria-hidden": "true" }, ramp("spam")), " pulls to spam")
  );
}

function stretches(text, reasons, most) {
  const parts = [];
  let at = 0;
  for (const { start, end, weight } of spansOf(text, reasons)) {
    if (start > at) parts.push(tame(text.slice(at, start)));
    const way = weight > 0 ? "spam" : "ham";
    const title = `${signed(weight)}, pulls to ${way}`;
    parts.push(h("mark", { class: `tint ${way} level-${level(weight, most)}`, title }, tame(text.slice(start, end))));
    at = end;
  }
  if (at < text.length) parts.push(tame(text.slice(at)));
  return parts;
}
