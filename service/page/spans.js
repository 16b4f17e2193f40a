/**
 * Reasons to tinted stretches of text. The service counts Unicode code points, JavaScript UTF-16 units: a letter beyond
 * U+FFFF is one of the former and two of the latter.
 */

const LEVELS = 5;
const WEAKEST_FULL_TINT = 0.8; // nats: where no word weighs more, the strongest is not shown as if it did

/** Return the UTF-16 offset of each code point offset; offsets past the end give the end. */
export function utf16Offsets(text, offsets) {
  const sorted = [...new Set(offsets)].sort((one, other) => one - other);
  const found = new Map();
  let unit = 0;
  let point = 0;
  for (const wanted of sorted) {
    while (point < wanted && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      point += 1;
    }
    found.set(wanted, unit);
  }
  return found;
}

/**
 * Return the spans of one field in UTF-16 units, in order and without overlaps: [{ start, end, weight }].
 * Of two that overlap the heavier one is kept whole.
 */
export function spansOf(text, reasons) {
  const offsets = utf16Offsets(text, reasons.flatMap(({ start, end }) => [start, end]));
  const spans = reasons
    .map(({ start, end, weight }) => ({ start: offsets.get(start), end: offsets.get(end), weight }))
    .filter(({ start, end }) => start < end)
    .sort((one, other) => Math.abs(other.weight) - Math.abs(one.weight));
  const kept = [];
  for (const span of spans) {
    if (!kept.some((other) => span.start < other.end && other.start < span.end)) kept.push(span);
  }
  return kept.sort((one, other) => one.start - other.start);
}

/** Return how strongly to tint a weight: 1 to 5, beside the heaviest of the message. */
export function level(weight, heaviest) {
  const share = Math.abs(weight) / Math.max(heaviest, WEAKEST_FULL_TINT);
  return Math.max(1, Math.min(LEVELS, Math.ceil(share * LEVELS)));
}

/** Return the weight of the heaviest reason, either way. */
export function heaviest(reasons) {
  return reasons.reduce((most, { weight }) => Math.max(most, Math.abs(weight)), 0);
}
