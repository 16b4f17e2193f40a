/** Reads the text format of Prometheus, as far as Hamlet's own metrics go. */

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Return the samples by name: Map of name -> [{ labels, value }]. */
export function parse(text) {
  const samples = new Map();
  for (const sample of text.split("\n")) {
    const found = sample.startsWith("#") ? null : SAMPLE.exec(sample);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) labels[name] = value;
    if (!samples.has(found[1])) samples.set(found[1], []);
    samples.get(found[1]).push({ labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Return the sum of a metric over its labels, of those that `wanted` takes. */
export function sum(samples, name, wanted = () => true) {
  return (samples.get(name) ?? []).filter(({ labels }) => wanted(labels)).reduce((total, { value }) => total + value, 0);
}

/** Return a histogram summed over its labels: [{ below, count }], each bucket by itself and not with those under it. */
export function buckets(samples, name, wanted = () => true) {
  const sums = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    if (wanted(labels)) sums.set(labels.le, (sums.get(labels.le) ?? 0) + value);
  }
  const cumulative = [...sums]
    .map(([le, count]) => ({ below: Number(le.replace("Inf", "Infinity")), count }))
    .sort((one, other) => one.below - other.below);
  return cumulative.map(({ below, count }, place) => ({ below, count: count - (cumulative[place - 1]?.count ?? 0) }));
}

/** Return what a share of the values in buckets lies below, evenly spread inside each bucket; NaN of nothing. */
export function quantile(found, share) {
  const total = found.reduce((all, { count }) => all + count, 0);
  let wanted = share * total;
  for (const [place, { below, count }] of found.entries()) {
    const from = found[place - 1]?.below ?? 0;
    if (count > 0 && wanted <= count) return Number.isFinite(below) ? from + ((below - from) * wanted) / count : from;
    wanted -= count;
  }
  return Number.NaN;
}

/** Return the buckets of what came between two moments. */
export function difference(now, before) {
  const counts = new Map(before.map(({ below, count }) => [below, count]));
  return now.map(({ below, count }) => ({ below, count: Math.max(0, count - (counts.get(below) ?? 0)) }));
}
