/** Numbers, sizes and times in words. */

const WHOLE = new Intl.NumberFormat("en");

/** 0.9987 -> "99.9 %"; what is near 0 or 1 keeps the digits that tell it apart from them. */
export function percent(share, digits = null) {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  if (digits === null) {
    const distance = Math.min(value, 100 - value);
    digits = distance >= 10 ? 0 : distance >= 0.1 ? 1 : 2;
  }
  if (value > 0 && value < 0.01 && digits <= 2) return "< 0.01 %";
  if (value < 100 && value > 99.99 && digits <= 2) return "> 99.99 %";
  return `${value.toFixed(digits)} %`;
}

/** 12345 -> "12,345". */
export function whole(number) {
  return WHOLE.format(Math.round(number));
}

/** One or more of something: count(1, "message") -> "1 message". */
export function count(number, noun) {
  return `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Bytes as people say them. */
export function bytes(size) {
  if (size < 1024) return count(size, "byte");
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(size < 10240 ? 1 : 0)} KiB`;
  return `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

/** Seconds as people say them, down to microseconds. */
export function seconds(value) {
  if (!Number.isFinite(value)) return "–";
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return `${value.toFixed(value < 10 ? 1 : 0)} s`;
}

/** A signed weight: "+1.92", with a real minus. */
export function signed(weight) {
  return `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;
}

/** A moment, in the reader's own way of writing it. */
export function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

/** Text with no more than a few marks piled on one letter: a browser takes seconds to draw thousands. */
export function tame(text) {
  return text.replace(/(\p{M}{8})\p{M}+/gu, "$1…");
}
