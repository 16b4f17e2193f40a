/** The one dialog of the page: asks for a key, or for a key and a yes. */

import { CallError, call, hasKey, setKey } from "./api.js";
import { byId } from "./dom.js";
import { inWords } from "./errors.js";

/**
 * Ask, and do `act` when the answer is yes. An error of `act` is told in the dialog, which stays open for another try.
 *
 * @returns what `act` gave, or undefined when the answer is no.
 */
export function ask({ title, text, label, yes, kind, needed, act }) {
  const dialog = byId("dialog");
  const form = byId("dialog-form");
  const key = byId("dialog-key");
  const trouble = byId("dialog-error");
  const button = byId("dialog-yes");
  byId("dialog-title").textContent = title;
  byId("dialog-text").textContent = text;
  byId("dialog-label").textContent = label;
  button.textContent = yes;
  button.disabled = false;
  trouble.textContent = "";
  key.value = "";
  key.required = needed && !hasKey(kind);
  return new Promise((resolve) => {
    let outcome;
    let isOpen = true;
    const submit = async (event) => {
      event.preventDefault();
      if (key.value) setKey(kind, key.value);
      button.disabled = true;
      try {
        outcome = await act();
        dialog.close();
      } catch (error) {
        if (!(error instanceof CallError)) throw error;
        if (!isOpen) return;
        const { title: what, text: why } = inWords(error);
        trouble.textContent = error.status === 401 ? "This key does not open it." : `${what}. ${why}`;
        key.focus();
      } finally {
        button.disabled = false;
      }
    };
    const cancel = () => dialog.close();
    const closed = () => {
      isOpen = false;
      key.value = "";
      form.removeEventListener("submit", submit);
      byId("dialog-no").removeEventListener("click", cancel);
      resolve(outcome);
    };
    form.addEventListener("submit", submit);
    byId("dialog-no").addEventListener("click", cancel);
    dialog.addEventListener("close", closed, { once: true });
    dialog.showModal();
    key.focus();
  });
}

let asking = null;

/** Do a call; where it wants a key, ask for one and do it again. Calls that fail together ask once. */
export async function withKey(act) {
  try {
    return await act();
  } catch (error) {
    if (error.status !== 401) throw error;
    asking ??= ask({
      title: "A key is needed",
      text: "This service answers only to those who have a key. Enter the one you were given.",
      label: "Key",
      yes: "Go on",
      kind: "api",
      needed: true,
      act: () => call("v1/model"), // opens with the same key, and costs little
    }).finally(() => {
      asking = null;
    });
    if (!(await asking)) throw error;
    return act();
  }
}
