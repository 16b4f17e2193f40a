/**
 * Subject and sender of a message, to tell one from the other in a list before the service has read them. What a person
 * is shown of an opened message comes from the service, which reads broken mail far better than this.
 */

import { tame } from "./format.js";

const HEAD_BYTES = 32768;
const LONGEST = 300;
const ENCODED_WORD = /=\?([^?\s]{1,40})\?([bq])\?([^?\s]*)\?=/gi;

/** Return { subject, from }, each "" where it is not there. */
export async function headersOf(blob) {
  const head = new TextDecoder().decode(await blob.slice(0, HEAD_BYTES).arrayBuffer());
  const end = head.search(/\r?\n\r?\n/);
  const fields = (end < 0 ? head : head.slice(0, end)).replace(/\r?\n[ \t]+/g, " ");
  return { subject: field(fields, "subject"), from: field(fields, "from") };
}

function field(fields, name) {
  const found = new RegExp(`^${name}:(.*)$`, "im").exec(fields);
  return found ? tame(decoded(found[1].trim().slice(0, 4 * LONGEST)).slice(0, LONGEST)) : "";
}

/** Decode encoded words (RFC 2047); one that is broken stays as it is. */
export function decoded(value) {
  return value
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(ENCODED_WORD, (whole, charset, encoding, coded) => {
      try {
        const letters = encoding.toLowerCase() === "b" ? atob(coded) : fromQ(coded);
        return new TextDecoder(charset).decode(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)));
      } catch {
        return whole;
      }
    });
}

function fromQ(coded) {
  return coded
    .replace(/_/g, " ")
    .replace(/=([0-9a-f]{2})/gi, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
}
