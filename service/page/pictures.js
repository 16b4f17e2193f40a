/** The pictures of a model: ROC, reliability, learning. From the points in its card, or from its measures alone. */

import { chart, line, linear, logarithmic, roundTicks } from "./chart.js";
import { s } from "./dom.js";
import { percent, whole } from "./format.js";

const plainPercent = (share) => `${+(100 * share).toPrecision(3)} %`;

/** Spam caught for ham lost. `all` are the measures over all mail, `points` the curve of the card, if it has one. */
export function roc(all, points) {
  if (!all?.ham_lost || !all.spam_caught) return null;
  const least = 0.5 / Math.max(1, all.ham);
  const marks = [
    { name: "as shipped", lost: all.ham_lost, caught: all.spam_caught, isShipped: true },
    { name: "at 0.1 %", lost: { value: 0.001 }, caught: all["spam_caught_at_0.1_percent_ham_loss"] },
    { name: "at 1 %", lost: { value: 0.01 }, caught: all["spam_caught_at_1_percent_ham_loss"] },
  ].filter(({ caught }) => caught);
  const curve = points ? points.ham_lost.map((lost, place) => [lost, points.spam_caught[place]]) : [];
  const lowest = Math.min(...marks.map(({ caught }) => caught.low), ...curve.filter(([lost]) => lost > 0).map(([, caught]) => caught));
  const floor = Math.max(0, Math.floor(lowest * 10) / 10 - 0.0001);
  const every = floor < 0.5 ? 2 : 1;
  const yTicks = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0].filter((tick, place) => tick >= floor && place % every === 0);
  return chart({
    x: { scale: logarithmic, domain: [least, 1], ticks: [0.0001, 0.001, 0.01, 0.1, 1].filter((tick) => tick >= least), tick: plainPercent, label: "ham lost" },
    y: { scale: linear, domain: [floor, 1], ticks: yTicks, tick: plainPercent, label: "spam caught" },
    name: `ROC: with the thresholds as shipped ${percent(all.spam_caught.value, 1)} of the spam is caught and ${percent(all.ham_lost.value, 2)} of the ham lost.`,
    caption: points
      ? "Spam caught for ham lost, at every threshold. Up and to the left is better; the diamond is as shipped."
      : "Spam caught for ham lost, with 95 % intervals. The diamond is as shipped; this card holds no whole curve.",
    draw: (x, y) => [
      curve.length ? line(steps(curve).map(([lost, caught]) => [x(lost), y(caught)]), { class: "series-1" }) : null,
      marks.map(({ name, lost, caught, isShipped }) => [
        curve.length ? null : s("line", { x1: x(lost.value), x2: x(lost.value), y1: y(caught.low), y2: y(caught.high), class: "whisker" }),
        isShipped && !curve.length
          ? s("line", { x1: x(lost.low), x2: x(lost.high), y1: y(caught.value), y2: y(caught.value), class: "whisker" })
          : null,
        isShipped
          ? s("rect", { x: x(lost.value) - 5, y: y(caught.value) - 5, width: 10, height: 10, class: "diamond", transform: `rotate(45 ${x(lost.value)} ${y(caught.value)})` })
          : curve.length
            ? null
            : s("circle", { cx: x(lost.value), cy: y(caught.value), r: 4, class: "dot" }),
        curve.length && !isShipped
          ? null
          : s("text", { x: x(lost.value) + 10, y: y(caught.value) + 18, class: "named" }, `${percent(caught.value, 1)} ${name}`),
      ]),
    ],
  });
}

/** Of the mail that gets 70 %, 70 % should be spam. */
export function reliability(points) {
  if (!points?.probability?.length) return null;
  const most = Math.max(...points.messages);
  const places = points.probability.map((said, number) => [said, points.spam_share[number], points.messages[number]]);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return chart({
    x: { scale: linear, domain: [0, 1], ticks, tick: plainPercent, label: "probability that the model gives" },
    y: { scale: linear, domain: [0, 1], ticks, tick: plainPercent, label: "share that is spam" },
    name: `Reliability: ${places.map(([said, found]) => `of mail at ${percent(said)}, ${percent(found)} is spam`).join("; ")}.`,
    caption: "Of the mail that gets 70 %, 70 % should be spam: on the dashed line probabilities mean what they say. Larger dots hold more mail.",
    draw: (x, y) => [
      line([[x(0), y(0)], [x(1), y(1)]], { class: "ideal" }),
      line(places.map(([said, found]) => [x(said), y(found)]), { class: "series-1 thin" }),
      places.map(([said, found, messages]) =>
        s("circle", { cx: x(said), cy: y(found), r: 3 + 7 * Math.sqrt(messages / most), class: "dot see-through" }, s("title", {}, `${whole(messages)} messages`))
      ),
    ],
  });
}

/** Loss by epoch, on mail that was learned from and on mail that was not. */
export function learning(history) {
  const epochs = (history ?? []).filter(({ train_loss, validation_loss }) => Number.isFinite(train_loss) && Number.isFinite(validation_loss));
  if (epochs.length < 2) return null;
  const most = Math.max(...epochs.flatMap(({ train_loss, validation_loss }) => [train_loss, validation_loss]));
  const yTicks = roundTicks(most);
  const last = epochs.at(-1);
  return chart({
    x: { scale: linear, domain: [epochs[0].epoch, last.epoch], ticks: epochs.map(({ epoch }) => epoch), tick: String, label: "epoch" },
    y: { scale: linear, domain: [0, yTicks.at(-1)], ticks: yTicks, tick: (value) => String(+value.toPrecision(3)), label: "loss, nats" },
    name: `Learning: after ${last.epoch} epochs the loss is ${last.train_loss.toFixed(3)} on mail learned from and ${last.validation_loss.toFixed(3)} on other mail.`,
    caption: "Loss by epoch: solid on the mail it learned from, dashed on mail it had not seen.",
    draw: (x, y) => [
      line(epochs.map(({ epoch, train_loss }) => [x(epoch), y(train_loss)]), { class: "series-1" }),
      line(epochs.map(({ epoch, validation_loss }) => [x(epoch), y(validation_loss)]), { class: "series-2 dashed" }),
    ],
  });
}

function steps(curve) {
  return curve.flatMap(([lost, caught], place) => (place ? [[lost, curve[place - 1][1]], [lost, caught]] : [[lost, caught]]));
}
