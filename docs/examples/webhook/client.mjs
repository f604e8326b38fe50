#!/usr/bin/env node
// Ask a replica through the signed webhook, and receive its answers. Node 18 or newer, nothing else.
// Keys, ids and statuses: docs/webhook.md.
//
//   export WEBHOOK_URL=https://bots.example.com/v1/hooks/support/messages
//   export WEBHOOK_SECRET=whsec_...
//   node client.mjs ask "When are you open?"     # prints the answer
//   node client.mjs listen 8900                  # prints every callback that comes, one JSON object a line

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const WAIT = Number(process.env.WEBHOOK_WAIT ?? 25); // seconds that the gateway holds the request for its answer; at most 55
const PATIENCE = 300; // seconds after which we give up asking how it stands
const TOLERANCE = 300; // seconds that a callback's timestamp may be off

// --- signatures ---

/** Sign the bytes that are sent: serialise once, sign that, send that. */
export function sign(secret, messageId, timestamp, body) {
  const key = Buffer.from(secret.slice(secret.indexOf("_") + 1), "base64");
  return "v1," + createHmac("sha256", key).update(`${messageId}.${timestamp}.`).update(body).digest("base64");
}

/** Whether the gateway sent these bytes, not long ago. Verify first, parse afterwards. */
export function verify(secret, headers, body, now) {
  const { "webhook-id": messageId = "", "webhook-timestamp": stamp = "", "webhook-signature": given = "" } = headers;
  if (!/^\d{1,12}$/.test(stamp) || Math.abs(now - Number(stamp)) > TOLERANCE) return false;
  const expected = Buffer.from(sign(secret, messageId, stamp, body));
  return given.split(" ").some((signature) => {
    const candidate = Buffer.from(signature);
    return candidate.length === expected.length && timingSafeEqual(candidate, expected);
  });
}

// --- asking ---

/** One signed request; looking at a status is signed over an empty body. */
async function call(url, secret, messageId, body) {
  const timestamp = Math.floor(Date.now() / 1000);
  const headers = {
    "webhook-id": messageId,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": sign(secret, messageId, timestamp, body ?? ""),
  };
  if (body !== undefined) Object.assign(headers, { "Content-Type": "application/json", Prefer: `wait=${WAIT}` });
  const signal = AbortSignal.timeout((WAIT + 15) * 1000);
  return fetch(url, { method: body === undefined ? "GET" : "POST", headers, body, signal });
}

/** The same request until it gets through. Its id stays, so the question is asked only once. */
async function surely(url, secret, messageId, body) {
  for (const pause of [1, 2, 4, 8, undefined]) {
    let wait = pause;
    try {
      const response = await call(url, secret, messageId, body);
      if (response.ok) return [response.status, await response.json()];
      const problem = `${response.status}: ${await response.text()}`;
      if (pause === undefined || ![429, 502, 503, 504].includes(response.status)) {
        throw Object.assign(new Error(problem), { final: true });
      }
      wait = Math.max(pause, Number(response.headers.get("Retry-After")) || 0);
    } catch (error) {
      if (error.final || pause === undefined) throw error;
    }
    await sleep(wait * 1000);
  }
}

/** A question and its final answer: `status` says whether it was answered, `text` is for the user either way. */
export async function ask(url, secret, user, text) {
  const body = JSON.stringify({ user: { id: user }, text });
  let [status, answer] = await surely(url, secret, `msg_${randomUUID()}`, body);
  const until = Date.now() + PATIENCE * 1000;
  while (status === 202 && Date.now() < until) {
    await sleep(1000);
    [status, answer] = await surely(new URL(answer.status_url, url), secret, `look_${randomUUID()}`);
  }
  return answer;
}

// --- callbacks ---

/** Take callbacks. Answer with a 2xx within 15 seconds, and do the work afterwards. */
export function listen(secret, port) {
  const seen = new Set(); // in real life: a table with a unique key, written together with what the callback changes
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (request.method !== "POST" || !verify(secret, request.headers, body, Date.now() / 1000)) {
      response.writeHead(401).end();
      return;
    }
    const messageId = request.headers["webhook-id"];
    if (!seen.has(messageId)) {
      // a callback may come again, under the same id
      seen.add(messageId);
      console.log(body.toString());
    }
    response.writeHead(204).end();
  });
  // TLS is the business of a proxy in front
  server.listen(port, "127.0.0.1", () => console.error(`listening on port ${server.address().port}`));
}

async function main([verb, argument]) {
  const { WEBHOOK_URL, WEBHOOK_SECRET, WEBHOOK_USER = "7" } = process.env;
  if (verb === "listen") {
    listen(WEBHOOK_SECRET, Number(argument ?? 8900));
  } else if (verb === "ask" && argument) {
    const answer = await ask(WEBHOOK_URL, WEBHOOK_SECRET, WEBHOOK_USER, argument);
    console.log(answer.text);
    process.exitCode = answer.status === "answered" ? 0 : 1;
  } else {
    console.error("usage: client.mjs ask TEXT | listen PORT");
    process.exitCode = 2;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
