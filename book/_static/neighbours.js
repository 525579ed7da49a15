// The paper that is pointed at, or has the focus: what the list says of it is shown below the map.
(() => {
  const map = document.querySelector(".street-map");
  const said = map.querySelector(".street-said");
  const show = ({ target }) => {
    const link = target.closest("a[data-paper]");
    if (!link) return;
    const paper = link.dataset.paper;
    const entry = document.getElementById(paper).closest("li").cloneNode(true);
    entry.querySelectorAll("[id]").forEach((e) => e.removeAttribute("id"));
    said.replaceChildren(...entry.childNodes);
    const near = new Set([paper]);
    for (const line of map.querySelectorAll(".kin")) {
      const ends = line.dataset.ends.split(" ");
      line.classList.toggle("near", ends.includes(paper));
      if (ends.includes(paper)) ends.forEach((end) => near.add(end));
    }
    for (const a of map.querySelectorAll("a[data-paper]"))
      a.classList.toggle("near", near.has(a.dataset.paper));
  };
  said.hidden = false;
  map.addEventListener("pointerover", show);
  map.addEventListener("focusin", show);
})();
