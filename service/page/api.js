/** Calls to the service. Keys live in this module's memory alone: they are gone when the page is. */

const keys = { api: "", admin: "" };

/** Something the service, or the way to it, refused; `status` is 0 where there was no answer at all. */
export class CallError extends Error {
  constructor(status, { code = "", message = "", field = null, retryAfter = null } = {}) {
    super(message || `status ${status}`);
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }
}

/** Keep a key: `api` for scoring and feedback, `admin` for the rest. */
export function setKey(kind, key) {
  keys[kind] = key.trim();
}

/** Return whether there is such a key. */
export function hasKey(kind) {
  return keys[kind] !== "";
}

/** Ask for JSON; throw a CallError for everything but success. */
export async function call(path, { method = "GET", body = null, key = "api", signal = null } = {}) {
  const answer = await send(path, { method, body, key, signal });
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch {
    throw new CallError(0, { code: "cut_off" });
  }
}

/** Ask for text, without a key. */
export async function text(path, signal = null) {
  return (await send(path, { method: "GET", body: null, key: null, signal })).text();
}

/** Score one message, a Blob of its bytes; with its reasons where `explain` is true. Returns { model, result }. */
export function predict(message, { explain = false, signal = null } = {}) {
  const path = explain ? "v1/predict/raw?explain=true" : "v1/predict/raw";
  return call(path, { method: "POST", body: message, signal });
}

/** Say what a message, a Blob of its bytes, is. */
export async function teach(message, label) {
  const body = { raw_base64: await base64(message), label, reporter: "page" };
  return call("v1/feedback", { method: "POST", body });
}

/** Take that back: the service forgets the message. */
export function forget(id) {
  return call(`v1/feedback/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Put a version into service. */
export function activate(version) {
  return call(`v1/models/${encodeURIComponent(version)}/activate`, { method: "POST", key: "admin" });
}

async function send(path, { method, body, key, signal }) {
  const headers = { Accept: "application/json, text/plain" };
  if (key !== null && keys[key]) headers.Authorization = `Bearer ${keys[key]}`;
  const isMail = body instanceof Blob;
  if (body !== null) headers["Content-Type"] = isMail ? "message/rfc822" : "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      signal,
      body: body === null || isMail ? body : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin", // a proxy in front may want its own cookie
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError(0, { code: "unreachable" });
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** Encode in the browser's own code and off this thread: ten megabytes of it in a loop would stop the page. */
function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new CallError(0, { code: "unreadable" }));
    reader.readAsDataURL(blob);
  });
}

async function refusal(answer) {
  const retryAfter = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  let said = {};
  try {
    said = (await answer.json()).error ?? {};
  } catch {
    // A proxy in front answers in its own words, which are not for people.
  }
  return new CallError(answer.status, { ...said, retryAfter: Number.isFinite(retryAfter) ? retryAfter : null });
}
