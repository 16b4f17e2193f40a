/**
 * What people give the page to messages: { name, subject, blob }. A blob holds the bytes of one message as it came; it
 * is sent as it is, so that the service judges what was received and not what a browser made of it.
 */

import { headersOf } from "./headers.js";
import { isMbox, splitMbox, unquoted } from "./mbox.js";

const MOST_FILES = 2000;

/** Return { messages, note }: `note` says what was left out, or is "". */
export async function fromFiles(files) {
  const messages = [];
  const notes = [];
  for (const file of [...files].slice(0, MOST_FILES)) {
    if (await isMbox(file)) {
      const { messages: slices, left } = await splitMbox(file);
      if (left) notes.push(`Only the first ${slices.length} messages of ${file.name} are here.`);
      for (const [place, slice] of slices.entries()) {
        messages.push(await message(await unquoted(slice), slices.length > 1 ? `${file.name}, ${place + 1}` : file.name));
      }
    } else {
      messages.push(await message(file, file.name));
    }
  }
  if (files.length > MOST_FILES) notes.push(`Only the first ${MOST_FILES} files are here.`);
  return { messages, note: notes.join(" ") };
}

/** The same of text that was pasted: an mbox, a message with its headers, or the words of one alone. */
export async function fromText(text) {
  const blob = new Blob([text]);
  if (looksLikeHeaders(text) || (await isMbox(blob))) {
    const file = new File([blob], "pasted");
    return fromFiles([file]);
  }
  const bare = new Blob(["Content-Type: text/plain; charset=utf-8\r\n\r\n", text]);
  const note = "This has no headers, so it was read as the text of a message alone. Sender and subject say a lot: paste the whole source if you can.";
  return { messages: [await message(bare, "pasted text")], note };
}

function looksLikeHeaders(text) {
  const [first, second = ""] = text.trimStart().split("\n", 2);
  const isField = (line) => /^[!-9;-~]{1,76}:( |\t|\r?$|\S)/.test(line) && !/^https?:/i.test(line);
  return isField(first) && (isField(second) || /^[ \t]/.test(second) || second.trim() === "");
}

async function message(blob, name) {
  const { subject, from } = await headersOf(blob);
  return { name, subject, from, blob };
}
