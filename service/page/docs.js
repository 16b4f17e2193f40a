/** The OpenAPI document for people. */

import { CallError, call } from "./api.js";
import { byId, h } from "./dom.js";
import { errorBox } from "./errors.js";
import { startTheme } from "./theme.js";

startTheme(byId("theme"));
show();

async function show() {
  byId("trouble").replaceChildren();
  try {
    const document_ = await call("openapi.json", { key: null });
    byId("paths").replaceChildren(...groups(document_).map(([tag, operations]) => group(tag, operations, document_)));
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    byId("trouble").replaceChildren(errorBox(error, show));
  }
}

function groups({ paths }) {
  const found = new Map();
  for (const [path, verbs] of Object.entries(paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      const tag = operation.tags?.[0] ?? "more";
      found.set(tag, [...(found.get(tag) ?? []), { path, verb: verb.toUpperCase(), operation }]);
    }
  }
  return [...found];
}

function group(tag, operations, document_) {
  return h("section", {}, h("h2", {}, tag), operations.map((operation) => entry(operation, document_)));
}

function entry({ path, verb, operation }, document_) {
  const { description = operation.summary, parameters = [], requestBody, responses = {}, security } = operation;
  const bodies = Object.entries(requestBody?.content ?? {});
  return h(
    "details",
    { class: "operation sheet" },
    h("summary", {}, h("span", { class: "verb" }, verb), " ", h("code", {}, path)),
    prose(description),
    security?.length ? h("p", { class: "note" }, "Takes a key, where one is set: ", h("code", {}, "Authorization: Bearer …")) : null,
    parameters.length
      ? [h("h3", {}, "Parameters"), h("ul", { class: "shape" }, parameters.map(parameterEntry))]
      : null,
    bodies.length ? [h("h3", {}, "Body"), bodies.map(([type, { schema }]) => [h("p", { class: "note" }, type), shape(schema, document_)])] : null,
    h("h3", {}, "Answers"),
    h("dl", {}, Object.entries(responses).map(([status, answer]) => answerTerm(status, answer, document_)))
  );
}

function parameterEntry({ name, in: place, required, description }) {
  return h("li", {}, named(name, place, required), description ? prose(description) : null);
}

function answerTerm(status, { description, content = {} }, document_) {
  const schema = Object.values(content)[0]?.schema;
  const isError = schema?.$ref?.endsWith("/ErrorBody");
  return [
    h("dt", {}, h("strong", {}, status)),
    h("dd", {}, prose(description), schema && !isError ? shape(schema, document_) : null),
  ];
}

/** Return the fields of a schema, one level below another in a box of its own. */
function shape(schema, document_, depth = 0) {
  const { name, schema: found } = resolved(schema, document_);
  const choices = found.anyOf ?? found.oneOf;
  if (found.properties && depth < 4) {
    const required = new Set(found.required ?? []);
    const entries = Object.entries(found.properties).map(([property, of]) =>
      h(
        "li",
        {},
        named(property, typeName(of, document_), required.has(property)),
        of.description ? prose(of.description) : null,
        inner(of, document_).map((below) => shape(below, document_, depth + 1))
      )
    );
    return h("ul", { class: "shape" }, entries);
  }
  if (choices) return h("p", { class: "note" }, choices.map((choice) => typeName(choice, document_)).join(" or "));
  return h("p", { class: "note" }, name ?? typeName(found, document_));
}

/** Return the schemas inside a property that have fields of their own. */
function inner(schema, document_) {
  const candidates = [schema, schema.items, ...(schema.anyOf ?? []), ...(schema.items?.anyOf ?? [])].filter(Boolean);
  return candidates.filter((candidate) => candidate.$ref && resolved(candidate, document_).schema.properties);
}

function resolved(schema, document_) {
  if (!schema?.$ref) return { name: null, schema: schema ?? {} };
  const name = schema.$ref.split("/").at(-1);
  return { name, schema: document_.components.schemas[name] ?? {} };
}

function typeName(schema, document_) {
  const { name, schema: found } = resolved(schema, document_);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.type === "array") return `list of ${typeName(found.items ?? {}, document_)}`;
  if (found.anyOf ?? found.oneOf) return (found.anyOf ?? found.oneOf).map((choice) => typeName(choice, document_)).join(" or ");
  return name ?? found.format ?? found.type ?? "anything";
}

function named(name, kind, isRequired) {
  return h("p", {}, h("code", {}, name), " ", h("span", { class: "note" }, isRequired ? `${kind}, required` : kind));
}

/** Text with `code` in it. */
function prose(text) {
  return h("p", {}, String(text ?? "").split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part)));
}
