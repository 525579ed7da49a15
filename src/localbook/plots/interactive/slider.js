// Show the frame that a range input names. Figures of a page are found by class; each is set up once.
for (const figure of document.querySelectorAll(".lb-slider:not([data-live])")) {
  figure.dataset.live = "";
  const control = figure.querySelector(".lb-control");
  const range = figure.querySelector("input");
  const shown = figure.querySelector("output");
  const picture = figure.querySelector("svg");
  const frames = figure.querySelectorAll(".lb-frame");
  const { names, alts } = JSON.parse(figure.dataset.frames);
  const show = () => {
    frames.forEach((frame, k) =>
      k == range.value ? frame.removeAttribute("display") : frame.setAttribute("display", "none"));
    shown.textContent = names[range.value];
    range.setAttribute("aria-valuetext", names[range.value]);
    if (alts) picture.setAttribute("aria-label", alts[range.value]);
  };
  range.addEventListener("input", show);
  control.hidden = false;
  show();
}
