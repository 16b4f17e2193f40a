/** The two buttons that teach, and the one that takes it back. */

import { CallError, forget, teach } from "./api.js";
import { withKey } from "./dialog.js";
import { announce, h } from "./dom.js";
import { inWords } from "./errors.js";

const NAMES = { spam: "spam", ham: "not spam" };

/** Return the buttons for an item; what was said is kept in `item.taught` = { id, label, outcome }. */
export function feedback(item) {
  const said = h("p", { class: "said" });
  const buttons = Object.keys(NAMES).map((label) =>
    h(
      "button",
      { type: "button", class: `teach ${label}`, on: { click: () => during(() => learn(label)) } },
      label === "spam" ? "This is spam" : "This is not spam"
    )
  );
  const undo = h("button", { type: "button", class: "quiet undo", on: { click: () => during(takeBack) } }, "Undo");
  const box = h(
    "section",
    { class: "feedback" },
    h("h3", {}, "Is it right?"),
    h("div", { class: "actions" }, buttons),
    h("div", { class: "after" }, said, undo),
    h("p", { class: "note" }, "Teaching keeps a copy of the message on this server, to learn from.")
  );
  show();
  return box;

  async function during(act) {
    if (box.getAttribute("aria-busy") === "true") return;
    box.setAttribute("aria-busy", "true");
    try {
      show(await act());
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      const { title, text } = inWords(error);
      show(`${title}. ${text}`);
    } finally {
      box.removeAttribute("aria-busy");
    }
  }

  async function learn(label) {
    item.taught = await withKey(() => teach(item.blob, label));
    return item.taught.outcome === "already_learned"
      ? `It was known as ${NAMES[label]} already.`
      : `Learned: this is ${NAMES[label]}.`;
  }

  async function takeBack() {
    try {
      await withKey(() => forget(item.taught.id));
    } catch (error) {
      if (error.status !== 404) throw error; // somebody else was faster
    }
    item.taught = null;
    buttons[0].focus();
    return "Forgotten. The server has no copy of it any more.";
  }

  function show(text = item.taught ? `You said: this is ${NAMES[item.taught.label]}.` : "") {
    for (const [place, label] of Object.keys(NAMES).entries()) {
      buttons[place].setAttribute("aria-pressed", String(item.taught?.label === label));
    }
    undo.hidden = !item.taught;
    said.textContent = text;
    if (text) announce(text);
  }
}
