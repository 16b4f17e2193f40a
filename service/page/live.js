/** What the service does now: its metrics, asked for while somebody looks, drawn as small charts. */

import { text } from "./api.js";
import { line, linear, roundTicks } from "./chart.js";
import { h, s } from "./dom.js";
import { inWords } from "./errors.js";
import { count as inNumber, seconds, whole } from "./format.js";
import { buckets, difference, parse, quantile, sum } from "./prometheus.js";
import { verdictOf } from "./scale.js";

const EVERY_MS = 2000;
const LONGEST_WAIT_MS = 30_000;
const KEPT = 60; // two minutes
const SCORING = /^\/(v1\/predict|v2\/|checkv2|check)/;
const WIDTH = 340;
const HEIGHT = 130;

/** Return { element, stop }. */
export function live(model) {
  const tiles = h("ul", { class: "figures small" });
  const rate = spark("Messages a second");
  const latency = spark("Time of a request: half are faster than the solid line, 95 % than the dashed one");
  const scores = h("div", {});
  const state = h("p", { class: "note" }, "Asking…");
  const element = h(
    "section",
    {},
    h("h2", {}, "Now"),
    state,
    tiles,
    h("div", { class: "pictures small-pictures" }, rate.element, latency.element, scores)
  );
  const history = [];
  const stopper = new AbortController();
  let timer = 0;
  let failures = 0;
  poll();
  return {
    element,
    stop: () => {
      stopper.abort();
      clearTimeout(timer);
    },
  };

  async function poll() {
    if (!document.hidden) {
      try {
        take(parse(await text("metrics", stopper.signal)));
        failures = 0;
      } catch (error) {
        if (error.name === "AbortError") return;
        failures += 1;
        state.textContent = `${inWords(error).title}. Asking again.`;
      }
    }
    if (!stopper.signal.aborted) timer = setTimeout(poll, Math.min(EVERY_MS * 2 ** failures, LONGEST_WAIT_MS));
  }

  function take(samples) {
    const isScoring = ({ route }) => SCORING.test(route ?? "");
    const now = {
      at: performance.now(),
      messages: sum(samples, "hamlet_predictions_total"),
      requests: buckets(samples, "hamlet_request_seconds", isScoring),
    };
    const before = history.at(-1)?.raw;
    const point = { raw: now, rate: Number.NaN, half: Number.NaN, slow: Number.NaN };
    if (before && now.messages >= before.messages) {
      const since = difference(now.requests, before.requests);
      point.rate = (now.messages - before.messages) / ((now.at - before.at) / 1000);
      point.half = quantile(since, 0.5);
      point.slow = quantile(since, 0.95);
    }
    history.push(point);
    if (history.length > KEPT) history.shift();
    const count = (verdict) => sum(samples, "hamlet_predictions_total", (labels) => labels.verdict === verdict);
    const figures = [
      [whole(now.messages), "messages scored since the start"],
      [`${whole(count("spam"))} / ${whole(count("unsure"))} / ${whole(count("ham"))}`, "spam / unsure / ham"],
      [seconds(quantile(now.requests, 0.5)), "half of all requests are faster"],
      [whole(sum(samples, "hamlet_queue_messages")), "messages waiting"],
      [whole(sum(samples, "hamlet_rejected_total")), "requests refused for lack of room"],
      [whole(sum(samples, "hamlet_feedback_total")), "times taught"],
    ];
    tiles.replaceChildren(...figures.map(([value, words]) => h("li", { class: "sheet" }, h("strong", {}, value), h("span", {}, words))));
    const ready = sum(samples, "hamlet_workers_ready");
    state.textContent = ready ? `${ready === 1 ? "One process answers" : `${whole(ready)} processes answer`}; asked every ${EVERY_MS / 1000} seconds.` : "It is not ready to answer.";
    rate.draw([{ values: history.map(({ rate: value }) => value), kind: "series-1" }], (value) => String(+value.toPrecision(2)));
    latency.draw(
      [
        { values: history.map(({ half }) => half), kind: "series-1" },
        { values: history.map(({ slow }) => slow), kind: "series-2 dashed" },
      ],
      seconds
    );
    scores.replaceChildren(distribution(buckets(samples, "hamlet_spam_probability", ({ version }) => version === model.version), model));
  }
}

/** A line of the last two minutes. */
function spark(caption) {
  const place = h("div", {});
  const element = h("figure", { class: "picture" }, place, h("figcaption", {}, caption));
  return { element, draw };

  function draw(lines, write) {
    const all = lines.flatMap(({ values }) => values).filter(Number.isFinite);
    const ticks = roundTicks(Math.max(...all, 0), 2);
    const x = linear([0, KEPT - 1], [56, WIDTH - 8]);
    const y = linear([0, ticks.at(-1)], [HEIGHT - 12, 12]);
    const last = lines.map(({ values }) => values.at(-1)).filter(Number.isFinite).map(write);
    place.replaceChildren(
      s(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": `${caption}. Now ${last.join(", ") || "nothing"}.` },
        ticks.map((tick) => [
          s("line", { x1: 56, x2: WIDTH - 8, y1: y(tick), y2: y(tick), class: "grid" }),
          s("text", { x: 48, y: y(tick) + 4, class: "y" }, write(tick)),
        ]),
        all.length ? null : s("text", { x: (WIDTH + 52) / 2, y: HEIGHT / 2 + 4, class: "quiet" }, "nothing in the last two minutes"),
        lines.map(({ values, kind }) => runs(values).map((run) => draws(run, kind)))
      )
    );

    function draws(run, kind) {
      const shift = KEPT - lines[0].values.length;
      const points = run.map(([place_, value]) => [x(place_ + shift), y(value)]);
      return points.length > 1 ? line(points, { class: kind }) : s("circle", { cx: points[0][0], cy: points[0][1], r: 2.5, class: `dot ${kind}` });
    }
  }
}

/** Stretches of values without a gap: where there was no request there is no time to show. */
function runs(values) {
  const found = [];
  for (const [place, value] of values.entries()) {
    if (!Number.isFinite(value)) continue;
    if (found.at(-1)?.at(-1)[0] === place - 1) found.at(-1).push([place, value]);
    else found.push([[place, value]]);
  }
  return found;
}

function distribution(found, { version, thresholds }) {
  const bars = found.filter(({ below }) => below <= 1);
  const most = Math.max(1, ...bars.map(({ count }) => count));
  const total = bars.reduce((all, { count }) => all + count, 0);
  const step = (WIDTH - 20) / Math.max(1, bars.length);
  const y = linear([0, most], [HEIGHT - 26, 10]);
  const picture = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": `Scores of ${whole(total)} messages by ${version}.` },
    bars.map(({ below, count }, place) => {
      const from = bars[place - 1]?.below ?? 0;
      const verdict = verdictOf((from + below) / 2, thresholds);
      const height = count ? Math.max(2, HEIGHT - 26 - y(count)) : 0;
      return [
        s("rect", { x: 10 + place * step + 1.5, y: HEIGHT - 26 - height, width: step - 3, height, rx: 2, class: `bar ${verdict}` }, s("title", {}, `${whole(count)} up to ${100 * below} %`)),
        place % 4 === 1 ? s("text", { x: 10 + (place + 1) * step, y: HEIGHT - 8, class: "x" }, `${+(100 * below).toPrecision(3)} %`) : null,
      ];
    }),
    s("line", { x1: 10, x2: WIDTH - 10, y1: HEIGHT - 25.5, y2: HEIGHT - 25.5, class: "axis" })
  );
  return h("figure", { class: "picture" }, picture, h("figcaption", {}, `Scores that this version gave to ${inNumber(total, "message")}; steps are finer near 0 and 100 %.`));
}
