// Sphinx shows what stands around a search term in the element with the role "main". The theme gives
// that role to one that holds its own buttons and table of contents too: leave the article alone in it.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return; // not the page of search results
  const textOf = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const article = page.querySelector("article.bd-article");
    if (article) page.querySelector('[role="main"]').replaceChildren(article);
    return textOf(page.documentElement.outerHTML, anchor);
  };
});
