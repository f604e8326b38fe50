"use strict";
// Reads /schema and makes a form of every operation. Everything is put into the page as text, never as markup.

const make = (name, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};
const who = document.getElementById("who");
const place = document.getElementById("operations");

function headers() {
  const { secret, user, type } = who.elements;
  const given = { "Content-Type": "application/json", Accept: "application/json" };
  if (secret.value) given["X-ORGANIZATION-SECRET"] = secret.value;
  if (user.value) given["X-USER-ID"] = user.value;
  if (user.value && type.value) given["X-USER-ID-TYPE"] = type.value;
  return given;
}

function address(path, fields) {
  const query = new URLSearchParams();
  for (const { name, where, input } of fields) {
    if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(input.value || `{${name}}`));
    else if (input.value) query.append(name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;

function curl(method, url, body) {
  const lines = [`curl -X ${method} ${quoted(location.origin + url)}`];
  for (const [name, value] of Object.entries(headers())) {
    const shown = name === "X-ORGANIZATION-SECRET" ? `"${name}: $ORGANIZATION_SECRET"` : quoted(`${name}: ${value}`);
    if (name !== "Accept") lines.push(`  -H ${shown}`);
  }
  if (body) lines.push(`  -d ${quoted(body)}`);
  return lines.join(" \\\n");
}

function field({ name, in: where, required, schema, example, description }) {
  const choices = schema.enum;
  const input = choices
    ? make("select", {}, make("option", { value: "", textContent: "—" }), ...choices.map(one => make("option", { textContent: one })))
    : make("input", { value: required && example !== undefined ? example : "", placeholder: schema.format || description || schema.type || "", spellcheck: false });
  return { name, where, input, label: make("label", {}, `${name}${required ? " *" : ""}`, input) };
}

function operation(path, method, one) {
  const verb = method.toUpperCase();
  const fields = one.parameters.filter(({ in: where }) => where !== "header").map(field);
  const content = one.requestBody?.content["application/json"];
  const body = content && make("textarea", { value: JSON.stringify(content.example, null, 2), spellcheck: false, ariaLabel: "Body" });
  const line = make("pre", { tabIndex: 0, ariaLabel: "As curl" });
  const status = make("p", { className: "status", role: "status" });
  const answer = make("pre", { hidden: true, tabIndex: 0, ariaLabel: "Answer" });
  const show = () => { line.textContent = curl(verb, address(path, fields), body?.value); };
  const form = make("form", { className: "try" },
    make("p", { className: "tags", textContent: `operation ${one["x-operation"]} · ${one["x-family"]} · answers ${Object.keys(one.responses).join(", ")}` }));
  if (fields.length) form.append(make("div", { className: "fields" }, ...fields.map(each => each.label)));
  if (body) form.append(make("label", {}, "Body", body));
  form.append(line, make("button", { textContent: "Send" }), status, answer);
  form.addEventListener("input", show);
  who.addEventListener("input", show);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    status.textContent = "Asking …";
    try {
      const response = await fetch(address(path, fields), { method: verb, headers: headers(), body: body?.value });
      const text = await response.text();
      status.textContent = `${response.status} ${response.statusText} · ${response.headers.get("X-Request-Id") ?? ""}`;
      answer.hidden = !text;
      try { answer.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { answer.textContent = text; }
    } catch (error) {
      status.textContent = `No answer: ${error.message}`;
      answer.hidden = true;
    }
  });
  show();
  const details = make("details", {},
    make("summary", {},
      make("span", { className: `method ${method}`, textContent: verb }),
      make("span", { className: one.deprecated ? "path old" : "path", textContent: path }),
      make("small", { textContent: one.summary })),
    form);
  details.dataset.words = `${verb} ${path} ${one.summary} ${one["x-operation"]} ${one["x-family"]}`.toLowerCase();
  return details;
}

function find() {
  const words = who.elements.find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of place.querySelectorAll("section")) {
    for (const one of section.querySelectorAll("details")) one.hidden = !words.every(word => one.dataset.words.includes(word));
    section.hidden = ![...section.querySelectorAll("details")].some(one => !one.hidden);
  }
}

async function load() {
  const document_ = await (await fetch("/schema")).json();
  const sections = new Map();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const tag = one.tags[0];
      if (!sections.has(tag)) sections.set(tag, make("section", {}, make("h2", { textContent: tag.replaceAll("-", " ") })));
      sections.get(tag).append(operation(path, method, one));
    }
  }
  place.replaceChildren(...sections.values());
}

who.addEventListener("submit", event => event.preventDefault());
who.elements.find.addEventListener("input", find);
load().catch(error => { place.replaceChildren(make("p", { textContent: `The document could not be read: ${error.message}` })); });
