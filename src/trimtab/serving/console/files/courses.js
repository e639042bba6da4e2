// How a metric of each of several arms came about: a small chart for every arm, all with the same axes, and a table.

import { drawn, element } from "../pages/elements.js";
import { moment, said, t, tick } from "../pages/language.js";
import { moments, text, ticks } from "./chart.js";
import { armName } from "./several.js";
import { bare, interval, valued } from "./units.js";

const HEIGHT = 132;
const EDGE = { top: 10, right: 14, bottom: 26, left: 58 };

/**
 * The charts, drawn anew for the width that they have.
 * @param {object} series Of `/v1/releases/NAME/series`, of several arms. @param {string} unit Of the metric.
 */
export function courses(series, unit) {
  const names = Object.keys(series.arms.at(-1)?.arms ?? {});
  const arms = names.map((name) => ({ name, points: series.arms.map((point) => ({ time: point.time, ...point.arms[name] })).filter((point) => point.mean !== null) }));
  const shown = arms.filter((arm) => arm.points.length);
  if (!shown.length) return [element("p", { class: "quiet" }, t("courses.none"))];
  const all = shown.flatMap((arm) => arm.points);
  const axes = { time: ends(all.map((point) => point.time), 1), value: range(shown) };
  const one = (arm) => {
    const place = element("div", { class: "plot" });
    const draw = () => place.replaceChildren(drawing(arm, axes, unit, Math.max(240, place.clientWidth)));
    new ResizeObserver(draw).observe(place);
    return element("figure", { class: "chart course" }, element("figcaption", {}, said(armName(arm.name), "strong"), " ", now(arm, unit)), place);
  };
  const better = element("p", { class: "quiet" }, t("courses.band"), " ", t(series.direction === "higher" ? "chart.up" : "chart.down"));
  return [element("p", { class: "axis-name" }, t(`courses.axis.${unit}`)), better, element("div", { class: "courses" }, ...shown.map(one)), behind(series, names, unit)];
}

function now(arm, unit) {
  const last = arm.points.at(-1);
  return `${valued(last.mean, unit)} ${interval(last.low, last.high, unit, false)}`;
}

function ends(values, least) {
  const low = Math.min(...values);
  return [low, Math.max(...values, low + least)];
}

/** What the axis shows: all means, and of the intervals those of the last moment and what is not far beyond them. */
function range(arms) {
  const inner = arms.flatMap((arm) => [...arm.points.map((point) => point.mean), arm.points.at(-1).low, arm.points.at(-1).high]).filter((value) => value !== null);
  const [low, high] = ends(inner, 1e-9);
  const room = 0.08 * (high - low);
  return [low - room, high + room];
}

function drawing(arm, axes, unit, width) {
  const [left, right, top, bottom] = [EDGE.left, width - EDGE.right, EDGE.top, HEIGHT - EDGE.bottom];
  const [[from, to], [low, high]] = [axes.time, axes.value];
  const x = (time) => left + ((right - left) * (time - from)) / (to - from);
  const y = (value) => bottom - ((bottom - top) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
  const edge = (end, open) => arm.points.map((point) => `${x(point.time)},${y(point[end] ?? open)}`);
  const last = arm.points.at(-1);
  const shown = [
    ...ticks(low, high, 3).flatMap((value) => [drawn("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }), text(left - 8, y(value) + 4, "end", bare(value, unit, false))]),
    drawn("polygon", { class: "band", points: [...edge("high", high), ...edge("low", low).reverse()].join(" ") }),
    drawn("polyline", { class: "estimate", points: arm.points.map((point) => `${x(point.time)},${y(point.mean)}`).join(" ") }),
    drawn("circle", { class: "now", cx: x(last.time), cy: y(last.mean), r: 4 }),
    ...moments(from, to, width / 2).map(([time, anchor]) => text(x(time), bottom + 18, anchor, tick(time, to - from))),
  ];
  const told = t("courses.told", { arm: armName(arm.name), value: now(arm, unit), n: arm.points.length });
  return drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": told }, ...shown);
}

function behind(series, names, unit) {
  const head = [element("th", { scope: "col" }, t("table.time")), ...names.map((name) => element("th", { scope: "col" }, said(armName(name))))];
  const cell = (arm) => element("td", { class: "number" }, valued(arm.mean, unit), element("br"), element("small", {}, interval(arm.low, arm.high, unit, false), " ", t("courses.visits", { n: arm.visits })));
  const row = (point) => element("tr", {}, element("th", { scope: "row" }, moment(point.time)), ...names.map((name) => cell(point.arms[name])));
  const table = element("table", {}, element("caption", {}, t("courses.table")), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...series.arms.toReversed().map(row)));
  return element("details", {}, element("summary", {}, t("courses.table")), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("courses.table") }, table));
}
