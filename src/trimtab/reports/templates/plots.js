// Draws the plots, in the reader's colour scheme and width.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const toDark = JSON.parse(document.getElementById("dark").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const boxes = [...document.querySelectorAll("[data-figure]")];
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: false,
    doubleClick: "reset",
  };

  // A copy of a figure in which every colour of the light scheme is the dark one's.
  const swapped = (value) => {
    if (typeof value === "string") return Object.hasOwn(toDark, value) ? toDark[value] : value;
    if (Array.isArray(value)) return value.map(swapped);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, swapped(inner)]));
    return value;
  };

  const draw = (isDark) => {
    for (const box of boxes) {
      const copy = structuredClone(figures[box.dataset.figure]);
      const figure = isDark ? swapped(copy) : copy;
      figure.layout.dragmode = coarse.matches ? false : "zoom";
      Plotly.react(box, figure.data, figure.layout, config).then(() => {
        box.dataset.drawn = "yes";
      });
    }
  };

  draw(dark.matches);
  dark.addEventListener("change", () => draw(dark.matches));

  // Paper is white and narrower than a window.
  addEventListener("beforeprint", () => {
    draw(false);
    for (const box of boxes) Plotly.relayout(box, { width: Math.min(box.clientWidth, 660) });
  });
  addEventListener("afterprint", () => draw(dark.matches));

  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => {
      const box = document.getElementById("plot-" + button.dataset.of);
      Plotly.downloadImage(box, {
        format: button.dataset.save,
        filename: "trimtab-" + button.dataset.of,
        width: box.clientWidth,
        height: box.clientHeight,
        scale: button.dataset.save === "png" ? 3 : 1,
      });
    });
  }
})();
