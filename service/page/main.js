/** Which view is shown. */

import { byId } from "./dom.js";
import { startMessages } from "./messages.js";
import { hideModel, showModel } from "./model.js";
import { startTheme } from "./theme.js";

const TITLES = { messages: "Hamlet", model: "The model · Hamlet" };

function show() {
  const wanted = location.hash.slice(1);
  if (wanted === "main") return; // the link that skips to the content
  const view = wanted in TITLES ? wanted : "messages";
  for (const name of Object.keys(TITLES)) {
    byId(name).hidden = name !== view;
    if (name === view) byId(`to-${name}`).setAttribute("aria-current", "page");
    else byId(`to-${name}`).removeAttribute("aria-current");
  }
  document.title = TITLES[view];
  if (view === "model") showModel();
  else hideModel();
}

startTheme(byId("theme"));
startMessages();
addEventListener("hashchange", show);
show();
