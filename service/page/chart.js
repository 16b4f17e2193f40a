/** Axes for small pictures. Sizes are in units of the picture, which grows with its place on the page. */

import { h, s } from "./dom.js";

const MARGIN = { left: 58, right: 24, top: 26, bottom: 44 };

/** Return a function from a value to a place, equal steps for equal differences. */
export function linear([low, high], [from, to]) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/** The same, equal steps for equal ratios. */
export function logarithmic([low, high], range) {
  const place = linear([Math.log(low), Math.log(high)], range);
  return (value) => place(Math.log(Math.max(value, low)));
}

/**
 * Return a figure: axes, what `draw(x, y)` returns between them, and a caption.
 *
 * @param x { scale, domain, ticks, label, tick }: `tick` writes a tick's value; the same for y
 * @param name what a screen reader says in place of the picture
 */
export function chart({ width = 460, height = 320, x, y, name, caption, draw }) {
  const xAt = x.scale(x.domain, [MARGIN.left, width - MARGIN.right]);
  const yAt = y.scale(y.domain, [height - MARGIN.bottom, MARGIN.top]);
  const bottom = height - MARGIN.bottom;
  const picture = s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name, class: "chart" },
    y.ticks.map((tick) => [
      s("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: yAt(tick), y2: yAt(tick), class: "grid" }),
      s("text", { x: MARGIN.left - 8, y: yAt(tick) + 4, class: "y" }, y.tick(tick)),
    ]),
    x.ticks.map((tick) => [
      s("line", { x1: xAt(tick), x2: xAt(tick), y1: bottom, y2: bottom + 4, class: "axis" }),
      s("text", { x: xAt(tick), y: bottom + 18, class: "x" }, x.tick(tick)),
    ]),
    s("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom, class: "axis" }),
    x.label ? s("text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, class: "x label" }, x.label) : null,
    y.label ? s("text", { x: 8, y: 12, class: "label start" }, y.label) : null,
    draw(xAt, yAt)
  );
  return h("figure", { class: "picture" }, picture, h("figcaption", {}, caption));
}

/** Return a line through points [[x, y], …], which are places already. */
export function line(points, attributes = {}) {
  return s("polyline", { points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), ...attributes });
}

/** Return ticks at round numbers, about `wanted` of them, from 0 to at least `most`. */
export function roundTicks(most, wanted = 4) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, number) => number * step);
}
