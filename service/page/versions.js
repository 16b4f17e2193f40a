/** The versions that can be served, and the buttons that put another one into service. */

import { activate, call } from "./api.js";
import { ask, withKey } from "./dialog.js";
import { announce, h } from "./dom.js";
import { moment, percent } from "./format.js";

/** Return the list; `changed` is called when another version is in service. */
export async function versions(changed) {
  const { active, versions: all, refused } = await withKey(() => call("v1/models"));
  return h(
    "section",
    {},
    h("h2", {}, "Versions"),
    h("ul", { class: "versions sheet" }, all.map((version) => entry(version, active, changed))),
    refused ? h("p", { class: "trouble" }, `${refused.version} was refused on ${moment(refused.at)}: ${refused.message}`) : null
  );
}

function entry(version, active, changed) {
  const { version: name, error } = version;
  const isActive = name === active;
  // Versions are named by their date, so that the order of their names is that of their age.
  const isOlder = active !== null && name < active;
  return h(
    "li",
    { class: isActive ? "active" : "" },
    h("div", {}, h("strong", {}, name), h("p", { class: "note" }, error ? `It cannot be served: ${error}` : inFigures(version))),
    isActive
      ? h("span", { class: "pill ham" }, "In service")
      : error
        ? h("span", { class: "pill spam" }, "Broken")
        : h("button", { type: "button", on: { click: () => confirm(name, isOlder, changed) } }, isOlder ? "Roll back to this" : "Activate")
  );
}

function inFigures({ metrics, thresholds }) {
  const all = metrics?.test?.all;
  const parts = [];
  if (all?.spam_caught) parts.push(`${percent(all.spam_caught.value, 1)} caught`);
  if (all?.ham_lost) parts.push(`${percent(all.ham_lost.value, 2)} ham lost`);
  if (thresholds) parts.push(`spam from ${percent(thresholds.spam_from, 1)}`);
  return parts.join(" · ");
}

async function confirm(name, isOlder, changed) {
  const activated = await ask({
    title: isOlder ? `Roll back to ${name}?` : `Put ${name} into service?`,
    text: "Requests are answered throughout. The version is checked first; if it fails, the one in service stays.",
    label: "Admin key (not needed where none is set and you are on the machine itself)",
    yes: isOlder ? "Roll back" : "Activate",
    kind: "admin",
    needed: false,
    act: () => activate(name),
  });
  if (!activated) return;
  announce(`${activated.version} is in service.`);
  await changed(
    activated.recorded ? "" : `${activated.version} is in service, but the folder of models cannot be written: the next start takes ${activated.previous}.`
  );
}
