// What the tests measure inside a page. Each function returns a list of sentences, empty if all is well.
window.checks = (() => {
  const colour = (text) => {
    const [r, g, b, a = 1] = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = ({ rgb }) => {
    const [r, g, b] = rgb.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  // What lies under an element of the page: the nearest ancestor that is painted.
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const painted = colour(getComputedStyle(e).backgroundColor);
      if (painted.a > 0.5) return painted;
    }
    return { rgb: [255, 255, 255], a: 1 };
  };
  const name = (e) => {
    const classes = typeof e.className === "string" ? e.className.trim() : "";
    return e.tagName.toLowerCase() + (e.id ? `#${e.id}` : "") +
      (classes ? `.${classes.split(/\s+/).join(".")}` : "");
  };
  // Wide code, tables and equations may scroll in their own box, as long as the page does not; a
  // drawer waits outside the window.
  const scrolls = (element) => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement)
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  const drawer = (element) => {
    for (let e = element; e; e = e.parentElement)
      if (getComputedStyle(e).position === "fixed") return true;
    return false;
  };
  const visible = (e) => e.checkVisibility() && e.getBoundingClientRect().width > 0;

  // On paper nothing scrolls, so what a box would scroll to is lost.
  const overflow = (paper) => {
    const width = document.documentElement.clientWidth;
    const found = [];
    if (document.documentElement.scrollWidth > width + 1)
      found.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${width}`);
    for (const e of document.querySelectorAll("main *:not(svg *):not(mjx-container *)")) {
      const { right } = e.getBoundingClientRect();
      if (right > width + 2 && visible(e) && !drawer(e) && (paper || !scrolls(e)))
        found.push(`${name(e)} ends at ${Math.round(right)} of ${width}`);
    }
    return found.slice(0, 5);
  };

  const wideFigures = () => {
    const width = document.documentElement.clientWidth;
    return [...document.querySelectorAll(".lb-figure, .lb-figure svg, main img")].filter(visible)
      .map((e) => [e, e.getBoundingClientRect()])
      .filter(([, box]) => box.width > width || box.right > width + 1 || box.left < -1)
      .map(([e, box]) => `${name(e)} runs from ${Math.round(box.left)} to ${Math.round(box.right)}`);
  };

  const missingFigures = () => [...document.querySelectorAll(".lb-figure svg")]
    .filter((svg) => !visible(svg) || svg.getBoundingClientRect().height < 40 ||
      ![...svg.querySelectorAll("path, use, polygon, line")].some((e) => e.checkVisibility()))
    .map((svg) => `nothing is drawn in the figure "${svg.getAttribute("aria-label")}"`);

  // The fill of letters against the shape they stand on, or against the page.
  const unreadable = () => {
    const found = [];
    for (const svg of document.querySelectorAll(".lb-figure svg")) {
      const page = ground(svg);
      const shapes = [];  // painted so far, in the order of painting
      for (const e of svg.querySelectorAll("path, rect, polygon, text, use")) {
        if (e.closest("defs, clipPath") || !e.checkVisibility()) continue;
        if (e.tagName === "use" && e.previousElementSibling?.tagName === "use") continue;
        const link = e.getAttribute("href") || e.getAttribute("xlink:href") || "";
        const style = getComputedStyle(e);
        if (e.tagName === "text" || link.includes("DejaVu")) {
          const box = e.getBoundingClientRect();
          const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
          const under = shapes.findLast(({ box: b, shape }) => {
            if (x < b.left || x > b.right || y < b.top || y > b.bottom) return false;
            const point = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
            return shape.isPointInFill(point);
          });
          const ink = colour(style.fill);
          const ratio = contrast(ink, under ? under.fill : page);
          if (style.fill !== "none" && ratio < 2.5)
            found.push(`letters at contrast ${ratio.toFixed(1)} in "${svg.getAttribute("aria-label")}"`);
        } else if (e.tagName !== "use" && style.fill !== "none") {
          const fill = colour(style.fill);
          const opacity = fill.a * Number(style.fillOpacity) * Number(style.opacity);
          if (opacity > 0.6) shapes.push({ shape: e, fill, box: e.getBoundingClientRect() });
        }
      }
    }
    return [...new Set(found)];
  };

  // A pale box on a dark page can be read, and blinds.
  const glare = () =>
    document.documentElement.dataset.theme !== "dark" || matchMedia("print").matches ? [] :
    [...document.querySelectorAll("main *:not(img):not(svg *):not(mjx-container *)")]
      .filter((e) => visible(e) && e.getBoundingClientRect().height > 20 &&
        e.getBoundingClientRect().width > 100)
      .filter((e) => {
        const painted = colour(getComputedStyle(e).backgroundColor);
        return painted.a > 0.5 && luminance(painted) > 0.4;
      })
      .map((e) => `${name(e)} is pale in the dark`).slice(0, 5);

  // What stands beside the text takes its room: a note that floats leaves too little of a phone.
  const squeezed = () => document.documentElement.clientWidth > 500 ? [] :
    [...document.querySelectorAll("main aside, main figure, main table")]
      .filter((e) => visible(e) && getComputedStyle(e).float !== "none")
      .map((e) => `${name(e)} floats beside the text`).slice(0, 5);

  // An equation is seen whole, up to its number; only on a phone it may have to be scrolled.
  const cutEquations = () => document.documentElement.clientWidth < 500 ? [] :
    [...document.querySelectorAll("main div.math")].filter(visible).flatMap((e) => {
      const formula = e.querySelector("mjx-math");
      const number = e.querySelector(".eqno");
      const end = number ? number.getBoundingClientRect().left : e.getBoundingClientRect().right;
      const over = formula ? Math.round(formula.getBoundingClientRect().right - end) : 0;
      return over > 1 ? [`the equation ${number?.textContent ?? e.id} is ${over} too wide`] : [];
    });

  // One element for each colour, size and weight of letters on each pile of grounds: axe-core takes
  // milliseconds for each element's contrast, and a page has thousands that look alike.
  const inks = () => {
    const kinds = new Map();
    for (const e of document.querySelectorAll("body *:not(svg *):not(script):not(style)")) {
      if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !visible(e)) continue;
      const { color, fontSize, fontWeight } = getComputedStyle(e);
      const pile = [color, fontSize, fontWeight];
      for (let under = e; under; under = under.parentElement) {
        const { backgroundColor, backgroundImage, opacity } = getComputedStyle(under);
        if (colour(backgroundColor).a || backgroundImage !== "none" || opacity !== "1")
          pile.push(backgroundColor, backgroundImage, opacity);
      }
      const kind = pile.join();
      if (!kinds.has(kind) || (kinds.get(kind).children.length && !e.children.length))
        kinds.set(kind, e);
    }
    return [...kinds.values()];
  };

  // Take away what axe-core has no rule for, most of a page's elements and of its minutes: the lines
  // inside a picture, which has one name as a whole; the glyphs of equations, which are hidden from
  // screen readers (these read the MathML, which stays); and the colours of code that have been
  // shown on the same ground already.
  const lighten = () => {
    document.querySelectorAll(".lb-figure svg > *, mjx-container > [aria-hidden=true]")
      .forEach((e) => e.remove());
    const shown = new Set();
    for (const pre of document.querySelectorAll("pre")) {
      const on = pre.closest(".admonition, .cell_input, .cell_output, dd")?.className;
      for (const e of [...pre.querySelectorAll("*")].reverse()) {  // what is inside comes first
        const kind = `${on} ${e.tagName} ${e.className}`;
        if (shown.has(kind) && !e.children.length) e.replaceWith(e.textContent);
        shown.add(kind);
      }
      pre.normalize();
    }
  };

  const brokenEquations = () => [...document.querySelectorAll("mjx-merror")]
    .map((e) => `MathJax: ${e.textContent}`);

  const links = () => [...document.querySelectorAll("a[href]")].map((a) => a.href.baseVal === undefined ? a.href : new URL(a.href.baseVal, document.baseURI).href);
  const ids = () => [...document.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name);

  return { overflow, wideFigures, missingFigures, unreadable, glare, squeezed, cutEquations, inks, lighten, brokenEquations, links, ids };
})();
