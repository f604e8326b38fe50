// The demo page: the widget by the guide's own snippet, two conversations, and the life of the newest message.
"use strict";

window.SensayWidget = {
  replicaId: "12345678-1234-1234-1234-123456789abc",
  containerId: "sensay-chat-widget",
  config: { theme: "light", position: "bottom-right", greeting: "Hello! How can I help you today?" },
};
const script = document.createElement("script");
script.src = "/widget.js";
script.async = true;
document.head.appendChild(script);

const STEPS = [
  ["accepted", "Accepted"], ["claimed", "Its turn"], ["asked", "Asked"], ["answered", "Answered"], ["delivered", "Delivered"],
];
const HINTS = {
  telegram: "Write here as a Telegram user. Try “What are your opening hours?”",
  discord: "Write here as a Discord user. Try “How do I return a tent?”",
};

const make = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};

// Telegram: text and entities, offsets in UTF-16 units, as JavaScript counts
const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote", text_link: "a" };
function entityNodes(text, entities) {
  const out = document.createDocumentFragment();
  const outer = (entities || []).filter((e) => TAGS[e.type]).sort((a, b) => a.offset - b.offset || b.length - a.length);
  let at = 0;
  for (const entity of outer) {
    if (entity.offset < at) continue;
    const block = entity.type === "pre"; // it stands apart by itself: no blank lines around it
    const before = text.slice(at, entity.offset);
    out.append(block ? before.replace(/\n+$/, "") : before);
    const node = make(TAGS[entity.type], text.slice(entity.offset, entity.offset + entity.length));
    if (entity.type === "text_link" && /^https?:/.test(entity.url)) { node.href = entity.url; node.rel = "noopener"; node.target = "_blank"; }
    out.append(node);
    at = entity.offset + entity.length;
    while (block && text[at] === "\n") at += 1;
  }
  out.append(text.slice(at));
  return out;
}

// Discord: the little markdown that answers use
function markdownNodes(text) {
  const out = document.createDocumentFragment();
  const pattern = /```\w*\n([\s\S]*?)```|`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\n]+)\*|^#{1,3} (.+)$|^[-*] (?=\S)/gm;
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    out.append(text.slice(at, match.index));
    const [whole, fence, code, bold, italic, heading] = match;
    if (fence !== undefined) out.append(make("pre", fence.replace(/\n$/, "")));
    else if (code) out.append(make("code", code));
    else if (bold || heading) out.append(make("b", bold || heading));
    else if (italic) out.append(make("i", italic));
    else out.append("• ");
    at = match.index + whole.length;
  }
  out.append(text.slice(at));
  return out;
}

const typingNode = () => {
  const dots = make("span", "", "dots");
  dots.append(make("i"), make("i"), make("i"));
  dots.setAttribute("aria-label", "is typing");
  return dots;
};

function messageNode(platform, message) {
  const item = make("li", "", message.role);
  const body = make("div");
  if (platform === "discord") item.append(make("div", message.role === "bot" ? "Support" : "robin", "who"));
  if (message.typing) body.append(typingNode());
  else if (message.role === "user") body.textContent = message.text;
  else body.append(platform === "telegram" ? entityNodes(message.text, message.entities) : markdownNodes(message.text));
  item.append(body);
  return item;
}

const shown = {};
function showTalk(section, platform, talk) {
  const state = JSON.stringify(talk);
  if (shown[platform] === state) return;
  shown[platform] = state;
  const log = section.querySelector(".log");
  const messages = talk.typing ? [...talk.messages, { role: "bot", typing: true }] : talk.messages;
  log.replaceChildren(...messages.map((message) => messageNode(platform, message)));
  if (!messages.length) log.append(make("li", HINTS[platform], "empty"));
  section.querySelector("[data-status]").textContent = talk.typing ? "is typing…" : platform === "telegram" ? "bot" : "app";
  log.scrollTop = log.scrollHeight;
}

const about = document.querySelector("[data-life-about]");
const steps = document.querySelector("[data-steps]");
const bar = document.querySelector("[data-bar]");
const milliseconds = (ms) => (ms < 1000 ? `${Math.round(ms * 10) / 10} ms` : `${(ms / 1000).toFixed(2)} s`);

function showLife(life) {
  const at = Object.fromEntries((life ? life.steps : []).map((step) => [step.name, step.ms]));
  const next = STEPS.find(([name]) => at[name] == null);
  steps.replaceChildren(...STEPS.map(([name, label], index) => {
    const item = make("li", "", at[name] != null ? "done" : life && next && next[0] === name ? "now" : "");
    const before = index ? at[STEPS[index - 1][0]] : 0;
    const took = at[name] == null ? "–" : index ? `+${milliseconds(Math.max(0, at[name] - before))}` : "0 ms";
    item.append(make("b", label), make("span", took));
    return item;
  }));
  if (!life) return;
  const names = { telegram: "Telegram", discord: "Discord", web: "the widget", webhook: "the webhook" };
  about.textContent = `“${life.text}” from ${names[life.platform]}, ${life.status}`;
  const upstream = (at.answered ?? 0) - (at.asked ?? 0);
  const pieces = [["gateway", at.asked ?? 0], ["sensay", Math.max(0, upstream)], ["gateway", (at.delivered ?? 0) - (at.answered ?? 0)]];
  bar.replaceChildren(...pieces.map(([cls, ms]) => {
    const piece = make("i", "", cls);
    piece.style.flexGrow = String(Math.max(0, ms));
    piece.title = cls === "sensay" ? `Sensay: ${milliseconds(ms)}` : `Gateway: ${milliseconds(ms)}`;
    return piece;
  }));
}

async function refresh() {
  try {
    const state = await (await fetch("/demo/state")).json();
    for (const section of document.querySelectorAll(".talk")) showTalk(section, section.dataset.platform, state[section.dataset.platform]);
    showLife(state.life);
  } catch { about.textContent = "The demo has stopped. Start it again and reload the page."; }
  setTimeout(refresh, document.hidden ? 2000 : 300);
}

for (const section of document.querySelectorAll(".talk")) {
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = section.querySelector("input");
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    await fetch("/demo/say", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ platform: section.dataset.platform, text }) });
  });
}
showLife(null);
refresh();
