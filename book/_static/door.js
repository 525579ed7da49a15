// Both networks at the step of the slider; plays once at first, unless less motion is wished for.
(() => {
  const door = document.currentScript.closest(".lb-door");
  const [button, range, output] = ["button", "input", "output"].map((e) => door.querySelector(e));
  const steps = door.dataset.steps.split(",");
  let timer = 0;
  const show = () => {
    for (const svg of door.querySelectorAll("svg"))
      svg.querySelectorAll(".moment").forEach((moment, i) => {
        moment.style.display = i === Number(range.value) ? "" : "none";
      });
    output.textContent = steps[range.value];
    range.setAttribute("aria-valuetext", `step ${steps[range.value]}`);
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const next = () => {
    range.value = Number(range.value) + 1;
    show();
    if (range.value === range.max) stop();
  };
  const play = () => {
    if (range.value === range.max) range.value = 0;
    show();
    button.textContent = "Pause";
    timer = setInterval(next, 160);
  };
  button.addEventListener("click", () => (timer ? stop() : play()));
  range.addEventListener("input", () => {
    stop();
    show();
  });
  door.querySelector(".lb-control").hidden = false;
  show();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
})();
