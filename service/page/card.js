/** The card of the model in service: what it is, what it can do, what it learned from. */

import { h } from "./dom.js";
import { moment, percent, whole } from "./format.js";
import { learning, reliability, roc } from "./pictures.js";

const PARTS = {
  test: "mail of the years it learned from",
  later: "mail newer than all it learned from",
};

/** Return the card of an answer of GET v1/model. */
export function card(model) {
  const measures = model.metrics ?? {};
  const curves = model.card.curves ?? {};
  const known = Object.keys(PARTS);
  const parts = Object.keys(measures)
    .filter((name) => measures[name]?.all)
    .sort((one, other) => known.indexOf(one) - known.indexOf(other));
  const figures = h("div", {});
  const show = (part) => figures.replaceChildren(...partView(part, measures[part], curves[part] ?? {}, model.card.history));
  if (parts.length) show(parts[0]);
  return h(
    "div",
    {},
    h("p", { class: "lead" }, `${model.name} ${model.version}, in service since ${moment(model.loaded_at)}.`),
    identity(model),
    parts.length ? [partChoice(parts, show), figures] : h("p", { class: "note" }, "Its card holds no measures."),
    data(model.card)
  );
}

function identity({ digest, thresholds, max_tokens: maxTokens, card: { what } }) {
  const facts = [
    ["Spam from", percent(thresholds.spam_from, 2)],
    ["Ham below", percent(thresholds.ham_below, 2)],
    ["Reads at most", `${whole(maxTokens)} tokens`],
    ["Digest", h("code", {}, digest)],
  ];
  return h(
    "div",
    { class: "sheet identity" },
    typeof what === "string" ? h("p", {}, what.charAt(0).toUpperCase() + what.slice(1) + ".") : null,
    h("dl", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))
  );
}

function partChoice(parts, show) {
  const buttons = parts.map((part, place) =>
    h("button", { type: "button", "aria-pressed": String(place === 0), on: { click: () => choose(part) } }, part)
  );
  const choose = (part) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.textContent === part));
    show(part);
  };
  return h("div", { class: "choice" }, h("h2", {}, "What it can do"), h("div", { class: "segments", role: "group", "aria-label": "Measured on" }, buttons));
}

function partView(part, measures, curves, history) {
  const { all } = measures;
  const figures = [
    ["of the spam is called spam", all.spam_caught, (value) => percent(value, 1)],
    ["of the ham is called spam", all.ham_lost, (value) => percent(value, 2)],
    ["chance that a ham looks more like spam than a spam does", all.one_minus_roca_percent, (value) => `${value.toFixed(3)} %`],
    ["of all mail is left unsure", all.unsure, (value) => percent(value, 1)],
    ["off are the probabilities, on average", all.calibration_error, (value) => percent(value, 1)],
  ].filter(([, figure]) => figure !== undefined && figure !== null);
  const pictures = [roc(all, curves.roc), reliability(curves.reliability), learning(history)].filter(Boolean);
  return [
    h("p", { class: "note" }, `Measured on ${whole(all.spam)} spam and ${whole(all.ham)} ham: ${PARTS[part] ?? part}. Ranges are 95 % intervals.`),
    h(
      "ul",
      { class: "figures" },
      figures.map(([words, figure, write]) =>
        h(
          "li",
          { class: "sheet" },
          h("strong", {}, write(figure.value ?? figure)),
          h("span", {}, words),
          Number.isFinite(figure.low) ? h("small", {}, `${write(figure.low)} to ${write(figure.high)}`) : null
        )
      )
    ),
    h("div", { class: "pictures" }, pictures),
    collections(measures),
  ];
}

function collections(measures) {
  const names = Object.keys(measures).filter((name) => name !== "all");
  if (!names.length) return null;
  const range = (figure, digits) => (figure ? `${percent(figure.value, digits)} (${percent(figure.low, digits)} to ${percent(figure.high, digits)})` : "–");
  const rows = names.map((name) => {
    const of = measures[name];
    return [name, whole(of.spam), whole(of.ham), range(of.spam_caught, 1), range(of.ham_lost, 2), percent(of.unsure, 1)];
  });
  return h("details", {}, h("summary", {}, "By collection of mail"), table(["collection", "spam", "ham", "caught", "ham lost", "unsure"], rows));
}

function data({ data: sources = [], split, settings, environment, commit }) {
  const rows = sources.map(({ name, origin, terms }) => [name, origin ?? "", terms ?? ""]);
  const parts = Object.entries(sums(split?.parts ?? []));
  return h(
    "section",
    {},
    h("h2", {}, "What it is made of"),
    rows.length ? h("details", {}, h("summary", {}, `The mail it learned from: ${rows.length} collections`), table(["file", "origin", "terms"], rows, "words")) : null,
    parts.length
      ? h("details", {}, h("summary", {}, "How that was split"), split.rule ? h("p", { class: "note" }, `${split.rule}.`) : null, table(["part", "spam", "ham"], parts.map(([part, { spam, ham }]) => [part, whole(spam), whole(ham)])))
      : null,
    settings
      ? h("details", {}, h("summary", {}, "Settings, environment and commit"), h("pre", { tabindex: "0" }, JSON.stringify({ commit, environment, settings }, null, 2)))
      : null
  );
}

function sums(parts) {
  const found = {};
  for (const { part, label, messages } of parts) {
    found[part] ??= { spam: 0, ham: 0 };
    found[part][label] += messages;
  }
  return found;
}

/** A table that scrolls inside its own box where the page is narrow. */
export function table(headings, rows, kind = "") {
  return h(
    "div",
    { class: `table ${kind}`, tabindex: "0", role: "group", "aria-label": "Table" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, headings.map((heading) => h("th", { scope: "col" }, heading)))),
      h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), others.map((cell) => h("td", {}, cell)))))
    )
  );
}
