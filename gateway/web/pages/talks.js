// Lets pages grow in place. Without it every link leads to a page that is complete.
"use strict";
const policy = window.trustedTypes ? trustedTypes.createPolicy("status", { createHTML: (html) => html }) : { createHTML: (html) => html };
const live = document.getElementById("live");
const EMPTY = "That is all there is.";

async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
  const next = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
  if (answer.ok) return next;
  const said = next.querySelector(".trouble");
  throw Object.assign(new Error(String(answer.status)), { said });
}

// One press at a time; while it runs the link says so, and afterwards it is as it was, or says what went wrong.
async function press(link, url, use) {
  if (link.getAttribute("aria-busy") === "true") return;
  link.setAttribute("aria-busy", "true");
  const words = link.dataset.words ??= link.textContent;
  live.textContent = "Loading…";
  try {
    const next = await load(url);
    clear(link);
    live.textContent = next.getElementById("live")?.textContent || "Loaded";
    use(next);
  } catch (error) {
    live.textContent = "Not loaded";
    show(link, error);
  }
  link.removeAttribute("aria-busy");
  if (link.isConnected && link.dataset.words === words && link.classList.contains("button")) link.textContent = words;
}

function clear(link) { document.getElementById(link.dataset.trouble || " ")?.remove(); }

let number = 0;
function show(link, error) {
  clear(link);
  const box = error.said ? document.adoptNode(error.said) : document.createElement("section");
  if (!error.said) box.textContent = "The gateway did not answer. Try again.";
  box.className = "trouble small";
  box.id = link.dataset.trouble = `trouble-${number += 1}`;
  box.querySelector(".acts")?.remove();
  for (const heading of box.querySelectorAll("h1, h2")) {
    const line = document.createElement("p");
    line.append(Object.assign(document.createElement("b"), { textContent: heading.textContent }));
    heading.replaceWith(line);
  }
  const again = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: "Try again" });
  again.addEventListener("click", () => link.click());
  const acts = Object.assign(document.createElement("p"), { className: "acts" });
  acts.append(again);
  box.append(acts);
  (link.closest(".gap, .pager") ?? link).before(box);
  count(box);
}

// A wait is counted down; then the button is what there is to do.
function count(box) {
  for (const wait of box.querySelectorAll("[data-wait]")) {
    const until = Date.now() + 1000 * Number(wait.dataset.wait);
    const timer = setInterval(() => {
      const left = Math.ceil((until - Date.now()) / 1000);
      wait.textContent = left > 0 ? `${left} s` : "now";
      if (left <= 0 || !wait.isConnected) clearInterval(timer);
    }, 1000);
  }
}

const adopt = (nodes) => [...nodes].map((node) => document.adoptNode(node));
const follow = (link, other, gone) => {
  if (other) link.href = other.getAttribute("href"); else { const end = document.createElement("span"); end.textContent = gone; link.replaceWith(end); }
};

function grow(link, next) {
  const list = document.getElementById(link.dataset.more);
  const seen = new Set([...list.children].map((item) => item.dataset.id));
  const found = adopt(next.getElementById(link.dataset.more)?.children ?? []).filter((item) => !seen.has(item.dataset.id));
  list.append(...found);
  found[0]?.querySelector("a")?.focus({ preventScroll: true });
  document.getElementById("place")?.remove();
  follow(link, next.querySelector("[data-more]"), EMPTY);
}

function earlier(link, next) {
  const thread = document.getElementById("thread");
  const known = new Set([...thread.querySelectorAll("[data-gap]")].map((gap) => gap.dataset.gap));
  const found = adopt(next.getElementById("thread").children).filter((piece) => !known.has(piece.dataset.gap) || !piece.dataset.gap);
  const height = document.documentElement.scrollHeight;
  const top = scrollY;
  thread.prepend(...found);
  follow(link, next.querySelector("[data-earlier]"), "The conversation begins here");
  scrollTo({ top: top + document.documentElement.scrollHeight - height, behavior: "instant" });
}

// What came after the last mention is given again, so what was shown of it goes first.
function later(link, next) {
  const thread = document.getElementById("thread");
  const found = adopt(next.getElementById("thread").children);
  if (found.length) {
    while (thread.lastElementChild && !thread.lastElementChild.classList.contains("mention")) thread.lastElementChild.remove();
    const seen = new Set([...thread.querySelectorAll(".line")].map((line) => line.dataset.id));
    thread.append(...found.filter((piece) => ![...piece.querySelectorAll(".line")].some((line) => seen.has(line.dataset.id))));
    const other = next.querySelector("[data-later]");
    if (other) link.href = other.getAttribute("href");
  } else live.textContent = "Nothing new";
}

function open(link, next) {
  const gap = link.closest(".gap");
  const found = adopt(next.getElementById("thread").children);
  gap.replaceWith(...found);
  const first = found.find((piece) => piece.classList.contains("opened"));
  if (first) { first.tabIndex = -1; first.focus({ preventScroll: true }); }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const kind = ["more", "earlier", "later", "part"].find((name) => name in link.dataset);
  if (!kind) { if (link.classList.contains("button")) link.setAttribute("aria-busy", "true"); return; }
  event.preventDefault();
  press(link, kind === "part" ? link.dataset.part : link.href, (next) => ({ more: grow, earlier, later, part: open })[kind](link, next));
});
addEventListener("pageshow", () => document.querySelectorAll("a[aria-busy]").forEach((link) => link.removeAttribute("aria-busy")));

// Scrolling to an end is asking for more of it, as long as the last time worked.
const ends = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    const link = target.querySelector("[data-more], [data-earlier]");
    if (isIntersecting && link && !link.dataset.trouble) link.click();
  }
}, { rootMargin: "120px" });
addEventListener("wheel", watch, { once: true, passive: true });
addEventListener("touchmove", watch, { once: true, passive: true });
addEventListener("keydown", (event) => { if (/^(Page|Home|End|Arrow)/.test(event.key)) watch(); });
let watching = false;
function watch() {
  if (watching) return;
  watching = true;
  for (const pager of document.querySelectorAll(".pager")) ends.observe(pager);
}

// Figures that are being fetched show when they are there.
async function coming() {
  const figures = document.getElementById("figures");
  if (!figures?.hasAttribute("data-coming")) return;
  try {
    const next = await load(location.pathname);
    if (!next.getElementById("figures").hasAttribute("data-coming")) live.textContent = next.getElementById("live").textContent;
    const wanted = next.getElementById("figures");
    if (wanted.hasAttribute("data-coming") !== figures.hasAttribute("data-coming") || figures.querySelector(".chart")) figures.replaceWith(document.adoptNode(wanted));
  } catch { live.textContent = "no answer from the gateway, trying again"; }
  setTimeout(coming, document.hidden ? 15000 : 1500);
}
setTimeout(coming, 700);
document.querySelectorAll(".trouble").forEach(count);
