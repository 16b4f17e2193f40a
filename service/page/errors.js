/** What went wrong, in words, and what to do about it. */

import { h } from "./dom.js";
import { bytes, count } from "./format.js";

/** Return { title, text, seconds }: `seconds` is how long the service asks to wait, or null. */
export function inWords(error) {
  const wait = error.retryAfter ?? null;
  const said = error.code && error.message ? error.message : "";
  switch (error.status) {
    case 0:
      if (error.code === "unreadable") {
        return words("The file cannot be read", "It may have been moved or changed since you chose it. Choose it again.");
      }
      return error.code === "cut_off"
        ? words("The answer broke off", "The connection ended before the whole answer was here. Try again.")
        : words(
            "The service does not answer",
            "It may be stopped or restarting, or this computer is offline. Your message is still here: try again."
          );
    case 401:
      return words("A key is needed", "This service answers only to those who have a key. Enter yours to go on.");
    case 403:
      return words("Not from here", said || "The service does not allow this from your address.");
    case 413:
      return words("Too large", sentence(said, "The service does not take so much at once.") + " Try less of it.");
    case 422:
      return words("The service could not read this", sentence(said, "Something in it was not as expected."));
    case 429:
      return words("The service is busy", `It has more to do than it can. ${waiting(wait)}`, wait ?? 1);
    case 503:
      return words("Not ready", `${sentence(said, "The service cannot answer just now.")} ${waiting(wait)}`, wait);
    case 504:
      return words("It took too long", sentence(said, "The time for this was up before the answer was there."));
    default:
      return words("Something went wrong", sentence(said, `The service answered with status ${error.status}.`));
  }
}

/** Return a box that says so, with a button to try again where `again` is given; it counts down a wait. */
export function errorBox(error, again = null) {
  const { title, text, seconds } = inWords(error);
  const box = h("div", { class: "trouble", role: "alert" }, h("h3", {}, title), h("p", {}, text));
  if (again) box.append(retryButton(again, seconds));
  return box;
}

function retryButton(again, seconds) {
  const button = h("button", { type: "button", class: "quiet" }, "Try again");
  button.addEventListener("click", () => {
    button.disabled = true;
    again();
  });
  if (seconds) {
    let left = Math.min(seconds, 600);
    const tick = () => {
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      left -= 1;
      if (left >= 0 && (button.isConnected || left > seconds - 2)) setTimeout(tick, 1000);
    };
    tick();
  }
  return button;
}

function waiting(seconds) {
  return seconds === null ? "Try again in a moment." : `It asks you to wait ${count(seconds, "second")}.`;
}

function sentence(said, otherwise) {
  const text = (said || otherwise).replace(/\b(\d{5,}) bytes\b/g, (_, size) => bytes(Number(size)));
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/[^.!?]$/, "$&.");
}

function words(title, text, seconds = null) {
  return { title, text, seconds };
}
