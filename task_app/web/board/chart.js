// A line of the last values, one each second, drawn as the values come.

import { say, svg } from "./dom.js";
import { number } from "./format.js";

const [WIDTH, HEIGHT, TOP] = [600, 160, 14];
const POINTS = 61;

// A scale that ends on a round number, so that the line does not jump with every value.
function ceiling(value) {
  const step = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return Math.max([1, 2, 5, 10].map((times) => times * step).find((top) => top >= value), 5);
}

export class Chart {
  element = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", preserveAspectRatio: "none" });
  #values = [];

  constructor(caption) {
    this.caption = caption;
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
    for (const part of [0, 0.5, 1]) {
      const y = TOP + (HEIGHT - TOP - 1) * part;
      this.element.append(svg("path", { class: "grid", d: `M0 ${y}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }));
    }
    this.element.append(this.area, this.line);
  }

  add(value) {
    this.#values = [...this.#values, value].slice(-POINTS);
    const top = ceiling(Math.max(...this.#values));
    const x = (index) => WIDTH - (this.#values.length - 1 - index) * (WIDTH / (POINTS - 1));
    const y = (one) => HEIGHT - 1 - (one / top) * (HEIGHT - TOP - 1);
    const points = this.#values.map((one, index) => `${x(index).toFixed(1)} ${y(one).toFixed(1)}`);
    this.line.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${points.join("L")}V${HEIGHT}H${x(0).toFixed(1)}Z`);
    this.element.setAttribute("aria-label", `Events a second over the last minute: now ${number(value)}, at most ${number(Math.max(...this.#values))}`);
    say(this.caption, number(top));
  }
}
