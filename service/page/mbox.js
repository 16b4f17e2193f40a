/**
 * Where the messages of an mbox begin and end. The file is read piece by piece and never held whole: a message is a
 * slice of it, or a copy where its quoting had to be undone.
 */

const PIECE = 4 * 1024 * 1024;
const MOST_MESSAGES = 2000;
const FROM = [0x46, 0x72, 0x6f, 0x6d, 0x20]; // "From "
const LF = 10;
const CR = 13;
// "From " begins ordinary sentences too, so the line has to end like a date: a time, perhaps a zone, a year.
const FROM_LINE = /^From .*\d\d:\d\d(:\d\d)?( [A-Z]{3,4})?( [+-]\d{4})? \d{4}( [+-]\d{4})?\s*$/;
const LONGEST_FROM_LINE = 300;

/** Return whether a file begins like an mbox. */
export async function isMbox(file) {
  const start = latin1(await file.slice(0, LONGEST_FROM_LINE).arrayBuffer());
  return FROM_LINE.test(start.split("\n", 1)[0]);
}

/** Return { messages: slices of the file, one a message, left: whether there are more than are taken }. */
export async function splitMbox(file) {
  const begins = await fromLines(file);
  const left = begins.length > MOST_MESSAGES;
  const messages = begins.slice(0, MOST_MESSAGES).map(({ bodyAt }, place) => {
    const next = begins[place + 1];
    return file.slice(bodyAt, next ? next.at : file.size);
  });
  return { messages: messages.filter((message) => message.size > 0), left };
}

/** Undo the quoting of "From " at the start of lines (mboxrd), and leave out the empty line before the next one. */
export async function unquoted(slice) {
  const quoted = latin1(await slice.arrayBuffer());
  const text = quoted.replace(/^>(>*From )/gm, "$1").replace(/(\r?\n)\r?\n$/, "$1");
  return text.length === quoted.length ? slice : new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))]);
}

/** Find the lines that begin a message: [{ at, bodyAt }], in bytes. */
async function fromLines(file) {
  const found = [];
  for (let offset = 0; offset < file.size && found.length <= MOST_MESSAGES; offset += PIECE) {
    // A piece overlaps the next by one line, and the one before by the two line ends that make an empty line.
    const from = Math.max(0, offset - 4);
    const bytes = new Uint8Array(await file.slice(from, offset + PIECE + LONGEST_FROM_LINE).arrayBuffer());
    for (let at = offset - from; at < bytes.length && from + at < offset + PIECE; at = bytes.indexOf(LF, at) + 1) {
      if (FROM.every((byte, place) => bytes[at + place] === byte) && afterEmptyLine(bytes, at, from)) {
        const end = bytes.indexOf(LF, at);
        const line = latin1(bytes.subarray(at, end < 0 ? bytes.length : Math.min(end, at + LONGEST_FROM_LINE)));
        if (FROM_LINE.test(line)) found.push({ at: from + at, bodyAt: end < 0 ? file.size : from + end + 1 });
      }
      if (bytes.indexOf(LF, at) < 0) break;
    }
  }
  return found;
}

function afterEmptyLine(bytes, at, from) {
  if (from + at === 0) return true;
  if (bytes[at - 1] !== LF) return false;
  const before = bytes[at - 2] === CR ? at - 3 : at - 2;
  return bytes[before] === LF;
}

function latin1(bytes) {
  return new TextDecoder("latin1").decode(bytes);
}
