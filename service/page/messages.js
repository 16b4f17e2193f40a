/** The view of messages: what comes in, the list of it, and the one that is open. */

import { CallError, call, predict } from "./api.js";
import { withKey } from "./dialog.js";
import { announce, byId, h } from "./dom.js";
import { errorBox } from "./errors.js";
import { count, percent } from "./format.js";
import { fromFiles, fromText } from "./intake.js";
import { VERDICTS, opened } from "./opened.js";

const AT_ONCE = 4; // requests under way for a list: enough to fill a batch, few enough to leave room for others
// Past this the browser takes seconds to lay a text area out, so the text is read without being put there.
const LONGEST_IN_AREA = 200_000;

let items = [];
let current = null; // the reading under way; an older one that comes back is of no interest
let thresholds = null;
let thresholdsOf = null; // the version that has them

/** Wire the view up. */
export function startMessages() {
  const source = byId("source");
  const files = byId("files");
  byId("intake-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (source.value.trim()) read(() => fromText(source.value));
    else source.focus();
  });
  source.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("intake-form").requestSubmit();
  });
  byId("choose").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    const chosen = [...files.files];
    files.value = ""; // so that the same file can be chosen again
    if (chosen.length) read(() => fromFiles(chosen));
  });
  byId("example").addEventListener("click", () => read(example));
  document.addEventListener("paste", pasted);
  startDropping();
}

async function example() {
  const answer = await fetch("page/example.eml").catch(() => null);
  if (!answer?.ok) throw new CallError(0, { code: "unreachable" });
  return fromFiles([new File([await answer.blob()], "example.eml")]);
}

function pasted(event) {
  const isElsewhere = event.target.closest?.("textarea, input, dialog");
  const { files } = event.clipboardData;
  const text = event.clipboardData.getData("text/plain");
  if (files.length && event.target.id !== "dialog-key") {
    event.preventDefault();
    read(() => fromFiles(files));
  } else if (text.trim() && (!isElsewhere || (event.target.id === "source" && text.length > LONGEST_IN_AREA))) {
    event.preventDefault();
    read(() => fromText(text));
  }
}

function startDropping() {
  const zone = byId("dropzone");
  let leaving = 0;
  // A file that is dropped where nobody takes it would be opened in place of the page, and could run in its place.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    clearTimeout(leaving);
    zone.hidden = false;
  });
  document.addEventListener("dragleave", () => {
    leaving = setTimeout(() => (zone.hidden = true), 120);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.hidden = true;
    const files = [...event.dataTransfer.files];
    const text = event.dataTransfer.getData("text/plain");
    if (files.length) read(() => fromFiles(files));
    else if (text.trim()) read(() => fromText(text));
  });
}

/** Take what `take` gives, and show what the service makes of it. */
async function read(take) {
  current?.abort();
  const reading = (current = new AbortController());
  byId("intake-trouble").replaceChildren();
  byId("messages").setAttribute("aria-busy", "true");
  announce("Reading.");
  try {
    const taken = await take();
    if (reading !== current) return;
    items = taken.messages;
    if (!items.length) throw new CallError(422, { message: "There is no message in it." });
    location.hash = "#messages";
    if (items.length === 1) {
      items[0].note = taken.note;
      await explain(items[0], reading.signal);
      if (reading === current) showOne();
    } else {
      showList(taken.note, reading);
    }
  } catch (error) {
    if (error.name === "AbortError" || reading !== current) return;
    startOver();
    byId("intake-trouble").replaceChildren(errorBox(readable(error), () => read(take)));
  } finally {
    if (reading === current || current === null) byId("messages").removeAttribute("aria-busy");
  }
}

async function explain(item, signal) {
  const { model, result } = await withKey(() => predict(item.blob, { explain: true, signal }));
  await learnThresholds(model.version);
  Object.assign(item, { model, result, isExplained: true });
}

/** The thresholds belong to the version that answered; without them the scale has no bands. */
async function learnThresholds(version) {
  if (thresholdsOf === version) return;
  try {
    const model = await withKey(() => call("v1/model"));
    if (model.version === version) [thresholds, thresholdsOf] = [model.thresholds, version];
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
  }
}

function showOne() {
  const panel = opened(items[0], thresholds);
  showResults(panel);
  announce(`${VERDICTS[items[0].result.verdict]}, ${percent(items[0].result.spam_probability)} likely to be spam.`);
  panel.querySelector("h2").focus();
}

function showResults(...content) {
  byId("intake").hidden = true;
  const back = h("button", { type: "button", class: "quiet back", on: { click: startOver } }, "← Read another");
  byId("results").replaceChildren(h("div", {}, back, content));
  scrollTo({ top: 0 });
}

function startOver() {
  current?.abort();
  current = null;
  items = [];
  byId("results").replaceChildren();
  byId("intake-trouble").replaceChildren();
  byId("intake").hidden = false;
  byId("source").select(); // so that what is pasted next takes the place of what was read
}

function showList(note, reading) {
  const summary = h("p", { class: "summary", tabindex: "-1" });
  const trouble = h("div", {});
  const list = h("ol", { class: "list sheet" }, items.map((item) => row(item, reading)));
  showResults(
    h("h2", { class: "unseen" }, "Messages"),
    summary,
    note ? h("p", { class: "note" }, note) : null,
    trouble,
    list
  );
  summary.focus();
  score();

  async function score() {
    trouble.replaceChildren();
    const waiting = items.filter((item) => !item.result && !item.error);
    let failed = null;
    const work = async () => {
      while (waiting.length && !failed && reading === current) {
        const item = waiting.shift();
        try {
          const { model, result } = await withKey(() => predict(item.blob, { signal: reading.signal }));
          Object.assign(item, { model, result });
        } catch (error) {
          if (error.name === "AbortError") return;
          if (error.status === 413 || error.status === 422) item.error = error;
          else failed = error;
        }
        item.refresh();
        tell();
      }
    };
    tell();
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (reading !== current) return;
    if (failed) trouble.replaceChildren(errorBox(readable(failed), score));
    else announce(summary.textContent);
  }

  function tell() {
    const number = (verdict) => items.filter((item) => item.result?.verdict === verdict).length;
    const left = items.filter((item) => !item.result && !item.error).length;
    const failed = items.filter((item) => item.error).length;
    summary.textContent =
      `${count(items.length, "message")}: ${number("spam")} spam, ${number("unsure")} unsure, ${number("ham")} ham` +
      `${failed ? `, ${failed} that could not be read` : ""}${left ? `; ${left} to go` : ""}.`;
  }
}

function row(item, reading) {
  const panel = h("div", { class: "panel", hidden: true });
  const verdict = h("span", { class: "pill waiting" }, "…");
  const probability = h("span", { class: "number" });
  const button = h(
    "button",
    { type: "button", class: "row", "aria-expanded": "false", on: { click: toggle } },
    verdict,
    h(
      "span",
      { class: "about" },
      h("span", { class: "subject", dir: "auto" }, item.subject || "No subject"),
      h("span", { class: "from", dir: "auto" }, item.from || item.name)
    ),
    probability
  );
  const line = h("li", {}, button, panel);
  item.refresh = () => {
    const { result, error } = item;
    verdict.className = `pill ${result?.verdict ?? (error ? "failed" : "waiting")}`;
    verdict.textContent = result ? VERDICTS[result.verdict] : error ? "Unread" : "…";
    probability.textContent = result ? percent(result.spam_probability) : "";
  };
  item.close = () => {
    button.setAttribute("aria-expanded", "false");
    panel.hidden = true;
    panel.replaceChildren();
  };
  return line;

  async function toggle() {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    for (const other of items) other.close?.();
    if (isOpen) return;
    button.setAttribute("aria-expanded", "true");
    panel.hidden = false;
    await fill();
  }

  async function fill() {
    if (item.error) {
      panel.replaceChildren(errorBox(item.error));
      return;
    }
    try {
      if (!item.isExplained) {
        panel.replaceChildren(h("p", { class: "note" }, "Reading…"));
        await explain(item, reading.signal);
        item.refresh();
      }
      if (button.getAttribute("aria-expanded") === "true") panel.replaceChildren(opened(item, thresholds));
    } catch (error) {
      if (error.name !== "AbortError") panel.replaceChildren(errorBox(readable(error), fill));
    }
  }
}

/** Errors of the file system read like those of the service. */
function readable(error) {
  if (error instanceof CallError) return error;
  if (error instanceof DOMException) return new CallError(0, { code: "unreadable" });
  throw error;
}
