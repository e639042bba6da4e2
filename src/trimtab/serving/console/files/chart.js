// A metric's confidence sequence over time: estimate and band, zero, the margin of harm, and a table of the same.

import { drawn, element } from "../pages/elements.js";
import { figure, moment, t, tick } from "../pages/language.js";
import { bare, difference, interval } from "./units.js";

const HEIGHT = 280;
const EDGE = { top: 12, right: 14, bottom: 46, left: 66 };

/**
 * The chart, drawn anew for the width that it has.
 * @param {object} series Of `/v1/releases/NAME/series`.
 * @param {{unit: string, margin: number, effect: number}} of The metric.
 */
export function chart(series, of) {
  const points = series.data.filter((point) => point.difference !== null);
  if (!points.length) return element("p", { class: "quiet" }, t("chart.none"));
  const name = t(of.unit === "plain" ? "chart.axis" : `chart.axis.${of.unit}`);
  const place = element("div", { class: "plot" });
  const draw = () => place.replaceChildren(drawing(points, series, of, name, Math.max(280, place.clientWidth)));
  new ResizeObserver(draw).observe(place);
  return element("figure", { class: "chart" }, element("p", { class: "axis-name" }, name), place, legend(series, of), behind(points, of));
}

/** The sign of harm: less of what should be high, or more of what should be low. */
function harmful(series, of) {
  return (series.direction === "higher" ? -1 : 1) * of.margin;
}

function drawing(points, series, of, name, width) {
  const [left, right, top, bottom] = [EDGE.left, width - EDGE.right, EDGE.top, HEIGHT - EDGE.bottom];
  const [from, to] = [points[0].time, Math.max(points.at(-1).time, points[0].time + 1)];
  const [low, high] = range(points, harmful(series, of), (series.direction === "higher" ? 1 : -1) * of.effect);
  const x = (time) => left + ((right - left) * (time - from)) / (to - from);
  const y = (value) => bottom - ((bottom - top) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
  const banded = points.filter((point) => point.low !== null || point.high !== null);
  const edge = (end, open) => banded.map((point) => `${x(point.time)},${y(point[end] ?? open)}`);
  const line = (value, kind) => drawn("line", { class: kind, x1: left, x2: right, y1: y(value), y2: y(value) });
  const last = points.at(-1);
  const shown = [
    ...ticks(low, high).flatMap((value) => [line(value, "grid"), text(left - 8, y(value) + 4, "end", bare(value, of.unit))]),
    drawn("polygon", { class: "band", points: [...edge("high", high), ...edge("low", low).reverse()].join(" ") }),
    line(0, "zero"),
    ...(of.margin > 0 ? [line(harmful(series, of), "margin")] : []),
    ...(of.effect > 0 ? [line(-harmful({ ...series }, { margin: of.effect }), "effect")] : []),
    drawn("polyline", { class: "estimate", points: points.map((point) => `${x(point.time)},${y(point.difference)}`).join(" ") }),
    drawn("circle", { class: "now", cx: x(last.time), cy: y(last.difference), r: 4 }),
    ...moments(from, to, width).map(([time, anchor]) => text(x(time), bottom + 20, anchor, tick(time, to - from))),
    text((left + right) / 2, HEIGHT - 6, "middle", t("chart.time")),
  ];
  const told = t("chart.told", { name, difference: difference(last.difference, of.unit), interval: interval(last.low, last.high, of.unit), n: points.length });
  return drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": told }, ...shown);
}

export function text(x, y, anchor, words) {
  return drawn("text", { x, y, "text-anchor": anchor }, words);
}

/** What the axis shows: all estimates, zero, both lines, and of the band what is not far beyond them. */
function range(points, harm, effect) {
  const inner = [0, harm, effect, ...points.map((point) => point.difference)];
  const reach = Math.max(...inner) - Math.min(...inner);
  const last = points.at(-1);
  const wide = Math.max(1.5 * reach, 1.3 * ((last.high ?? last.difference) - last.difference), 1.3 * (last.difference - (last.low ?? last.difference)), 1e-9);
  const ends = points.flatMap((point) => [point.low, point.high]).filter((end) => end !== null && Math.abs(end - last.difference) <= 2 * wide);
  const [low, high] = [Math.min(...inner, ...ends), Math.max(...inner, ...ends)];
  const room = 0.06 * (high - low || 1);
  return [low - room, high + room];
}

/** Round numbers, about as many as are wanted. */
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

export function moments(from, to, width) {
  const n = width < 480 ? 2 : 4;
  return Array.from({ length: n + 1 }, (_, i) => [from + ((to - from) * i) / n, i === 0 ? "start" : i === n ? "end" : "middle"]);
}

function legend(series, of) {
  const better = t(series.direction === "higher" ? "chart.up" : "chart.down");
  const entry = (kind, words) => element("li", {}, element("span", { class: `key ${kind}`, "aria-hidden": "true" }), words);
  return element(
    "ul",
    { class: "keys" },
    entry("estimate", t("chart.estimate")),
    entry("band", t("chart.band")),
    entry("zero", t("chart.zero")),
    of.margin > 0 ? entry("margin", t("chart.margin", { size: difference(harmful(series, of), of.unit) })) : null,
    of.effect > 0 ? entry("effect", t("chart.effect", { size: difference(-harmful(series, { margin: of.effect }), of.unit) })) : null,
    element("li", {}, better),
  );
}

function behind(points, of) {
  const head = ["table.time", "table.difference", "table.interval", "table.units"].map((key) => element("th", { scope: "col" }, t(key)));
  const row = (point) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, moment(point.time)),
      element("td", { class: "number" }, difference(point.difference, of.unit)),
      element("td", { class: "number" }, interval(point.low, point.high, of.unit)),
      element("td", { class: "number" }, point.units.map((n) => figure(n, { maximumSignificantDigits: 12 })).join(" / ")),
    );
  const table = element("table", {}, element("caption", {}, t("chart.table")), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...points.toReversed().map(row)));
  return element("details", {}, element("summary", {}, t("chart.table")), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("chart.table") }, table));
}
