/** The view of the model: its card, the versions, and what the service does now. */

import { CallError, call } from "./api.js";
import { card } from "./card.js";
import { withKey } from "./dialog.js";
import { byId, h } from "./dom.js";
import { errorBox } from "./errors.js";
import { live } from "./live.js";
import { versions } from "./versions.js";

let watching = null;
let isShown = false;

/** Fill the view and begin to watch. */
export async function showModel(note = "") {
  isShown = true;
  byId("model-trouble").replaceChildren(...(note ? [h("p", { class: "trouble", role: "status" }, note)] : []));
  try {
    const model = await withKey(() => call("v1/model"));
    if (!isShown) return;
    byId("model-card").replaceChildren(card(model));
    watch(model);
    byId("versions").replaceChildren(await versions(showModel));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    byId("model-trouble").replaceChildren(errorBox(error, () => showModel()));
  }
}

/** Stop watching. */
export function hideModel() {
  isShown = false;
  watching?.stop();
  watching = null;
}

function watch(model) {
  watching?.stop();
  watching = live(model);
  byId("live").replaceChildren(watching.element);
}
