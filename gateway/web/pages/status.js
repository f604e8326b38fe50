// Keeps the status page current. Without it the page is complete, only not live.
"use strict";
const policy = window.trustedTypes ? trustedTypes.createPolicy("status", { createHTML: (html) => html }) : { createHTML: (html) => html };
const live = document.getElementById("live");
let failures = 0;

async function refresh() {
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
    const board = next.getElementById("board");
    const left = document.querySelector(".scroll")?.scrollLeft ?? 0;
    const focused = document.activeElement?.classList.contains("scroll");
    document.getElementById("board").replaceWith(document.adoptNode(board));
    const scroll = document.querySelector(".scroll");
    if (scroll) { scroll.scrollLeft = left; if (focused) scroll.focus(); }
    document.title = next.title;
    live.textContent = next.getElementById("live").textContent;
    failures = 0;
  } catch (error) {
    failures += 1;
    live.textContent = `no answer from the gateway (${error.message}), trying again`;
  }
  setTimeout(refresh, document.hidden ? 30000 : Math.min(5000 * 2 ** failures, 60000));
}
setTimeout(refresh, 5000);
