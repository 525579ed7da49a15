// Turn polytopes by dragging or with the arrow keys. Draws what turn.py draws, from any side.
for (const figure of document.querySelectorAll(".lb-turn:not([data-live])")) {
  figure.dataset.live = "";
  const svg = figure.querySelector("svg");
  const [axes, faces] = svg.querySelectorAll("g");
  const scene = JSON.parse(svg.dataset.scene);
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const cross = (a, b) =>
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  let [azimuth, elevation] = scene.view;

  const project = () => {
    const [a, e] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
    const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
    const directions = [[-sa, ca, 0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]];
    return (point) => directions.map((direction) => dot(direction, point));
  };
  const look = (solid, shade, near) => {
    const rgb = (factor) => `rgb(${solid.rgb.map((c) => Math.round(factor * c))})`;
    if (!solid.glass) return `fill="${rgb(shade)}" stroke="${rgb(0.5)}"`;
    const fill = near ? `fill="${rgb(shade)}" fill-opacity=".3"` : 'fill="none"';
    return `${fill} stroke="${rgb(1)}" stroke-opacity="${near ? ".8" : ".25"}"`;
  };
  const polygon = (solid, corners) => {
    const normal = [0, 0, 0];
    corners.forEach((corner, k) => {
      cross(corner, corners[(k + 1) % corners.length]).forEach((c, i) => { normal[i] += c; });
    });
    const near = normal[2] > 0;
    if (!near && !solid.glass) return null;
    const lit = Math.max(0, dot(normal, scene.light) / (Math.hypot(...normal) || 1));
    const points = corners.map(([x, y]) =>
      `${(x * scene.scale).toFixed(1)},${(-y * scene.scale).toFixed(1)}`);
    return {
      layer: solid.glass ? (near ? 2 : 0) : 1,
      depth: corners.reduce((sum, corner) => sum + corner[2], 0) / corners.length,
      text: `<polygon points="${points.join(" ")}" ${look(solid, 0.65 + 0.35 * lit, near)}/>`,
    };
  };
  const draw = () => {
    const view = project();
    const drawn = scene.solids.flatMap((solid) => {
      const seen = solid.points.map(view);
      return solid.faces.map((face) => polygon(solid, face.map((row) => seen[row])));
    });
    faces.innerHTML = drawn.filter(Boolean)
      .sort((p, q) => p.layer - q.layer || p.depth - q.depth).map((p) => p.text).join("");
    const [start, ...ends] = scene.axes.map(view).map(([x, y]) => [x * scene.scale, -y * scene.scale]);
    ends.forEach((end, k) => {
      const line = axes.querySelectorAll("line")[k];
      const name = axes.querySelectorAll("text")[k];
      ["x", "y"].forEach((c, i) => {
        line.setAttribute(`${c}1`, start[i]);
        line.setAttribute(`${c}2`, end[i]);
        name.setAttribute(c, start[i] + scene.beyond * (end[i] - start[i]));
      });
    });
  };
  const turn = (right, up) => {
    azimuth -= right;
    elevation = Math.max(-90, Math.min(90, elevation + up));
    draw();
  };
  const keys = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Home") [azimuth, elevation] = scene.view;
    else if (!keys[event.key]) return;
    event.preventDefault();
    turn(...(keys[event.key] || [0, 0]));
  });
  svg.addEventListener("pointerdown", (event) => svg.setPointerCapture(event.pointerId));
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) turn(event.movementX / 2, event.movementY / 2);
  });
  svg.tabIndex = 0;
  Object.assign(svg.style, { cursor: "grab", touchAction: "pan-y", userSelect: "none" });
  svg.addEventListener("focus", () => {
    svg.style.outline = svg.matches(":focus-visible") ? "2px solid currentColor" : "none";
  });
  svg.addEventListener("blur", () => { svg.style.outline = "none"; });
  figure.querySelector(".lb-control").hidden = false;
}
