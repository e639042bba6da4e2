// Figures of metrics in words: shares in per cent, differences of shares in percentage points, the rest in its unit.

import { figure, percent, t } from "../pages/language.js";

const SHARES = ["errors", "cancelled", "repetition", "refusal", "degenerate", "edit_distance"];
const UNITS = { latency: "seconds", first_token_latency: "seconds", length: "tokens" };

/** The unit of a metric. @param {string} name @param {object} definition Of the release. */
export function unitOf(name, definition) {
  const metric = definition.metrics?.find((one) => one.name === name);
  const outcome = metric?.outcome ?? null;
  if (outcome !== null && outcome in UNITS) return UNITS[outcome];
  const whole = metric?.bounds && metric.bounds[0] === 0 && metric.bounds[1] === 1;
  return SHARES.includes(outcome) || whole ? "share" : "plain";
}

/** A value of one arm. */
export function valued(value, unit) {
  if (value === null) return t("unknown");
  if (unit === "share") return percent(value, 3);
  return unit === "plain" ? figure(value) : t(`unit.${unit}`, { size: figure(value), n: value });
}

/** A number of an axis or an interval, without its unit. */
export function bare(value, unit, signed = true) {
  const scaled = unit === "share" ? 100 * value : value;
  return figure(Number(scaled.toPrecision(3)), signed ? { signDisplay: "exceptZero" } : {});
}

/** A difference between the arms, with its unit. */
export function difference(value, unit, signed = true) {
  if (value === null) return t("unknown");
  const size = bare(value, unit, signed);
  if (unit === "plain") return size;
  return t(unit === "share" ? "unit.points" : `unit.${unit}`, { size, n: Math.abs(unit === "share" ? 100 * value : value) });
}

/** An interval, whose ends may be open. @param {boolean} signed Whether of a difference. */
export function interval(low, high, unit, signed = true) {
  if (low === null && high === null) return t("interval.none");
  const end = (value, open) => (value === null ? open : bare(value, unit, signed));
  return t("interval", { low: end(low, "−∞"), high: end(high, "+∞") });
}
