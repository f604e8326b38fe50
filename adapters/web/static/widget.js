// @ts-check
/**
 * Chat with a bot from any page: one custom element, <sensay-chat>, in a Shadow DOM. No dependency, no cookie, no
 * inline style or script, no request to anybody but the gateway that this file came from, and none before it is opened.
 *
 * Three parts: `Client` talks to the gateway and knows no page; `SensayChat` is what a visitor sees; `boot` reads the
 * page's configuration. Answers come as a tree of nodes and are built from an allowlist, never parsed as HTML.
 */
(() => {
'use strict';

/** @typedef {{key: string, text: string, failed?: string}} Outgoing  a message on its way */
/** @typedef {string | {identity?: string, user_id?: string, user_hash?: string}} Claim  who the site says the visitor is */
/** @typedef {{id: string, role: string, text: string, content: any[], created_at: string, in_reply_to?: string, notice?: string}} Message */

const PLACE = /^(.*?)\/(?:widget(?:\/\w+)?|([^/]+)\/embed-script)\.js/;
const SCRIPT = /** @type {?HTMLScriptElement} */ (document.currentScript);
const [, BASE = location.origin, BOT = ''] = PLACE.exec(SCRIPT?.src || '') || [];
/** What the bot's owner configured: filled in by the gateway where the file belongs to one bot. @type {Record<string, any>} */
const OWNER = {};
/** English; the other languages are fetched when they are needed. @type {Record<string, string>} */
const WORDS = {
  open: 'Open chat', close: 'Close chat', send: 'Send', write: 'Write a message…', title: 'Chat',
  seconds: 'Usually answers in seconds', connecting: 'Connecting…', offline: 'You are offline', unavailable: 'Not available on this page',
  answering: 'Writing an answer', you: 'You said:', bot: 'Answer:', failed: 'Not sent.', again: 'Try again', more: 'New messages',
  log: 'Conversation', over: 'Start over', sure: 'Delete this conversation and start over?', yes: 'Delete', no: 'Keep', unread: 'unread',
  queued: 'Waiting in line',
};
const LANGUAGES = 'de fr es pt it ar ja';

// --- looks

const STYLE = `
:host{display:block;--a:var(--sensay-color,#4f46e5);--on:var(--sensay-on-color,#fff);--r:var(--sensay-radius,20px);--gap:var(--sensay-gap,20px);
--bg:#f7f7fb;--card:#fff;--ink:#1c1d26;--soft:#5d6272;--line:#e5e6ee;--code:#eeeff5;--bad:#c4281c}
:host([hidden]),[hidden]{display:none!important}
.root{all:initial;--link:var(--a);display:block;font:15px/1.5 var(--sensay-font,system-ui,sans-serif);color:var(--ink);text-align:start;color-scheme:light}
.root[data-dark]{--bg:#14151b;--card:#20222b;--ink:#eeeef4;--soft:#a3a7b7;--line:#30333f;--code:#2a2d38;--bad:#ff8f85;--link:#b3b5ff;color-scheme:dark}
*,*::before{box-sizing:border-box}
button,textarea{font:inherit;color:inherit;margin:0;border:1px solid transparent;background:none}
button{cursor:pointer;padding:0}
:focus{outline:none}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
svg{width:20px;height:20px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.launcher,.face,.send,header button{display:grid;place-items:center;flex:none;border-radius:50%}
.launcher,.panel{position:fixed;z-index:var(--sensay-z,2147483000);box-shadow:0 0 0 1px rgb(20 20 60/.06),0 8px 24px rgb(20 20 60/.12),0 24px 72px rgb(20 20 60/.22)}
.launcher{width:60px;height:60px}
.launcher svg{width:28px;height:28px}
[data-open] .chat,.root:not([data-open]) .down{display:none}
.badge{position:absolute;top:-3px;inset-inline-end:-3px;min-width:22px;padding:0 6px;border-radius:11px;background:#c4281c;color:#fff;font-size:12px;font-weight:600;line-height:22px}
.panel{display:flex;flex-direction:column;width:min(var(--sensay-width,392px),calc(100vw - 2*var(--gap)));height:min(var(--sensay-height,640px),calc(100dvh - 2*var(--gap) - 76px));
border-radius:var(--r);overflow:hidden;background:var(--bg);animation:open .25s ease-out}
[data-dark] .panel{box-shadow:0 0 0 1px var(--line)}
[data-position^=bottom] .launcher{bottom:var(--gap)}[data-position^=top] .launcher{top:var(--gap)}
[data-position$=right] :is(.launcher,.panel){right:var(--gap)}[data-position$=left] :is(.launcher,.panel){left:var(--gap)}
[data-position^=bottom] .panel{bottom:calc(var(--gap) + 76px)}
[data-position^=top] .panel{top:calc(var(--gap) + 76px)}
[data-position=inline] .panel{position:static;width:100%;height:var(--sensay-height,600px);animation:none;box-shadow:0 0 0 1px var(--line)}
[data-position=page] .panel{inset:0;width:100%;height:100dvh;border-radius:0;animation:none}
[data-position=page] :is(header,.list,.composer,.sure){padding-inline:max(16px,calc(50vw - 370px))}
header{display:flex;align-items:center;gap:12px;padding:16px}
.face{width:42px;height:42px;background:rgb(255 255 255/.2);font-weight:600;font-size:18px;overflow:hidden}
.face canvas{width:100%;height:100%;object-fit:cover}
.names{flex:1;min-width:0}
.title{font-size:16px;font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.state{font-size:13px}
.state::before{content:"";display:inline-block;width:8px;height:8px;margin-inline-end:6px;border-radius:50%;background:#4ade80}
.state:not([data-state=seconds])::before{background:#facc15}
header button{width:36px;height:36px}
header :focus-visible{outline-color:var(--on)}
.log{flex:1;min-height:0;overflow-y:auto;overscroll-behavior:contain;outline-offset:-3px}
.list{display:flex;flex-direction:column;padding:16px;min-height:100%}
.message{max-width:86%;align-self:flex-start;margin-top:12px}
:is(.mine+.mine,.theirs+.theirs){margin-top:3px}
.mine{align-self:flex-end;animation:rise .25s ease-out}
.bubble{padding:10px 14px;border:1px solid var(--line);border-radius:18px;background:var(--card);overflow-wrap:anywhere;white-space:pre-wrap}
.theirs .bubble{border-end-start-radius:5px}
.mine .bubble{border-end-end-radius:5px}
.waiting .bubble{opacity:.65}
.meta{font-size:12px;color:var(--soft);padding:4px 6px 0}
.mine .meta{text-align:end}
:is(.mine:has(+.mine),.theirs:has(+.theirs)):not(.failed) .meta{display:none}
.failed .meta{color:var(--bad)}
.failed .meta button,.sure button{font-weight:600;text-decoration:underline;padding:2px 4px}
.text :is(p,ul,ol,pre,blockquote,hr){margin:0}.text :is(div,p,ul,ol,pre,blockquote,hr)+*{margin-top:8px}
.text :is(ul,ol){padding-inline-start:20px}
.text a{color:var(--link)}
.mine .text a{color:inherit}
strong,th,.heading{font-weight:600}
code,pre{font:.88em/1.5 ui-monospace,monospace;background:var(--code);border-radius:6px}
code{padding:1px 5px}pre{padding:10px 12px;overflow-x:auto;white-space:pre}
blockquote{border-inline-start:3px solid var(--line);padding-inline-start:10px;color:var(--soft)}
hr{border:0;border-top:1px solid var(--line);width:100%}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{border:1px solid var(--line);padding:5px 9px;white-space:normal;overflow-wrap:normal}
th:not([align]){text-align:start}
.chips{display:flex;flex-wrap:wrap;gap:8px;margin-top:14px}
.chips button,.more{border:1px solid var(--line);background:var(--card);color:var(--link);border-radius:18px;padding:7px 14px;font-size:14px;font-weight:500;line-height:1.4;text-align:start}
.typing{display:flex;flex-wrap:wrap;align-items:center;gap:10px;margin-top:12px;color:var(--soft);font-size:13px}
.dots{display:flex;gap:5px;padding:14px}
.draft{color:var(--ink);font-size:15px;max-width:86%}
.draft:empty{display:none}
.dots i{width:7px;height:7px;border-radius:50%;background:var(--soft);animation:dot 1.2s infinite}
.dots i:nth-child(2){animation-delay:.2s}.dots i:nth-child(3){animation-delay:.4s}
.foot{position:relative;background:var(--card);border-top:1px solid var(--line);padding-bottom:env(safe-area-inset-bottom)}
.more{position:absolute;bottom:100%;left:50%;transform:translate(-50%,-12px)}
.sure{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;padding:10px 16px;font-size:14px;border-bottom:1px solid var(--line)}
.sure span{flex:1 1 180px}.sure .yes{color:var(--bad)}
.composer{display:flex;align-items:flex-end;gap:10px;padding:12px 16px}
textarea{flex:1;min-width:0;resize:none;font-size:16px;line-height:1.4;max-height:132px;height:44px;padding:10px 16px;border-color:var(--line);border-radius:22px;background:var(--bg)}
textarea:focus{outline-offset:-2px}
textarea:placeholder-shown{direction:inherit}
textarea::placeholder{color:var(--soft);opacity:1}
.send{width:44px;height:44px}
.accent{background:var(--a);color:var(--on)}
.mine .bubble{border-color:transparent}
.mine.failed .bubble{background:var(--card);color:var(--ink);border-color:var(--bad)}
.send[aria-disabled=true]{background:var(--code);color:var(--soft);cursor:default}
@keyframes open{from{opacity:0;transform:translateY(14px) scale(.97)}}
@keyframes rise{from{opacity:0;transform:translateY(6px)}}
@keyframes dot{0%,60%,100%{opacity:.35}30%{opacity:1;transform:translateY(-4px)}}
@media (max-width:480px),(max-height:420px){
.root:not([data-position=inline]) .panel{inset:auto 0 auto 0;top:var(--top,0);width:100%;height:var(--high,100dvh);border-radius:0;box-shadow:none}
[data-open]:not([data-position=inline]) .launcher{display:none}}
@media (prefers-reduced-motion:reduce){*{animation:none!important}}
@media (forced-colors:active){.root.root{--ink:CanvasText;--soft:CanvasText;--bad:CanvasText;--link:LinkText}.panel,.badge{border:1px solid}}
@media print{:host{display:none}}
`;

// --- nodes

/** @param {string} tag @param {Record<string, any>} [facts] @param {...(Node|string)} children @returns {any} */
const h = (tag, facts = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

/** @param {string} name @param {string} path */
const icon = (name, path) => {
  const make = (/** @type {string} */ tag) => document.createElementNS('http://www.w3.org/2000/svg', tag);
  const svg = make('svg'), line = make('path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', name);
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
};
const ICONS = {
  chat: 'M4 5h16v11h-9l-4.5 4v-4H4z',
  down: 'M5 9l7 7 7-7', close: 'M6 6l12 12M18 6L6 18', send: 'M12 20V4.5M5 11.5l7-7 7 7',
  over: 'M4 4v5h5M4.5 14a8 8 0 1 0 1.5-7L4 9',
};

const TAGS = new Set('p ul ol li blockquote pre code hr table thead tbody tr th td strong em s'.split(' '));
const LINK = /^(https?:\/\/|mailto:|tel:)/i;

/** Build an answer: what is not on the list is shown as its text. @param {any[]} nodes @returns {DocumentFragment} */
const build = (nodes) => {
  const built = document.createDocumentFragment();
  for (const node of nodes || []) {
    if (typeof node === 'string') { built.append(node); continue; }
    const { tag, href, start, align, children } = node || {}, inside = build(children);
    built.append(tag === 'a' && LINK.test(href) ? h(tag, { href, target: '_blank', rel: 'noreferrer' }, inside)
      : /^h[1-6]$/.test(tag) ? h('p', { class: 'heading' }, inside)
      : tag === 'table' ? h('div', { class: 'wide', tabindex: 0 }, h(tag, {}, inside))
      : TAGS.has(tag) ? h(tag, { start, align, tabindex: tag === 'pre' ? 0 : null }, inside) : inside);
  }
  return built;
};

/** `crypto.randomUUID` is missing on plain-http pages. */
const newKey = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));

/** Find what the gateway wants to see before it begins a session: a number that gives a hash with so many zero bits.
 * @param {{salt: string, bits: number}} challenge */
const work = async ({ salt, bits }) => {
  for (let n = 0; ; n++) {
    const proof = `${salt}.${n}`, hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(proof));
    if (new DataView(hash).getUint32(0) < 2 ** (32 - bits)) return proof;
  }
};

// --- the client

/**
 * One visitor's conversation: session, outbox and event stream. Tells the view what happens; touches no page.
 * Tabs of one browser share the session and the outbox through the storage, and tell each other what they hear.
 */
class Client {
  /** @param {string} base @param {string} bot @param {?string} storage @param {string} language @param {(what: string, data?: any) => void} tell */
  constructor(base, bot, storage, language, tell) {
    this.url = `${base}/v1/web/${encodeURIComponent(bot)}/`;
    this.name = `sensay:${base}:${bot}`;
    this.storage = storage;
    this.language = language;
    this.tell = tell;
    this.last = '';
    this.wanted = false;
    /** @type {Promise<void> | undefined} */ this.starting = undefined;
    /** @type {Set<() => void>} */ this.sleepers = new Set();
    this.load();
    /** @type {Outgoing[]} */ this.outbox = this.read(':out', []);
    for (const item of this.outbox) delete item.failed;
    this.tabs = new BroadcastChannel(this.name);
    this.tabs.onmessage = ({ data: { what, data, conversation } }) => {
      if (what === 'session') this.adopt();
      else if (conversation === this.ticket.conversation) this.tell(what, data);
    };
  }

  // what is kept

  get kind() { return this.storage || this.ticket.card?.storage; }

  /** Until the owner's wish is known nothing is kept; what an earlier visit left shows where to look. @returns {?Storage} */
  store() {
    try {
      return /** @type {any} */ ({ local: localStorage, session: sessionStorage })[this.kind || ''] ||
        (this.kind ? null : [sessionStorage, localStorage].find((one) => one.getItem(this.name)) || null);
    } catch { return null; }
  }

  /** @param {string} part @param {any} otherwise */
  read(part, otherwise) {
    try { return JSON.parse(this.store()?.getItem(this.name + part) || 'null') || otherwise; } catch { return otherwise; }
  }

  /** @param {string} part @param {any} value */
  write(part, value) {
    try { this.store()?.setItem(this.name + part, JSON.stringify(value)); } catch { /* full or forbidden */ }
  }

  /** The session, and what came with it. @type {{token?: string, conversation?: string, renew?: number, card?: any}} */
  ticket = {};

  load() { this.ticket = this.read('', {}); }

  save() {
    this.write('', this.ticket);
    this.share('session');
  }

  /** Leave nothing behind. */
  erase() {
    for (const part of ['', ':out']) this.store()?.removeItem(this.name + part);
    this.storage = 'none';
    this.tabs.close();
    this.outbox = [];
  }

  // other tabs

  /** @param {string} what @param {any} [data] */
  share(what, data) {
    if (this.kind === 'local') this.tabs.postMessage({ what, data, conversation: this.ticket.conversation });
  }

  /** Take over the session that another tab began, renewed or ended. */
  adopt() {
    if ((this.kind || 'local') !== 'local') return;
    const { token, conversation } = this.ticket;
    this.load();
    if (this.ticket.token === token) return;
    if (this.ticket.conversation !== conversation) { this.last = ''; this.tell('reset'); }
    this.abort?.abort();
  }

  // sessions

  /** @param {string} method @param {string} path @param {{body?: any, headers?: any, signal?: AbortSignal}} [rest] */
  async call(method, path, { body, headers, signal } = {}) {
    const response = await fetch(this.url + path, {
      method, signal: signal || AbortSignal.timeout(30000), body: body && JSON.stringify(body),
      credentials: 'omit', cache: 'no-store', referrerPolicy: 'origin',
      headers: { 'Accept-Language': this.language, ...(body && { 'Content-Type': 'application/json' }),
        ...(this.ticket.token && { Authorization: `Bearer ${this.ticket.token}` }), ...headers },
    });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail || response.statusText), {
      problem, status: response.status, after: 1000 * Number(response.headers.get('Retry-After')) || 0,
    });
  }

  /** An old session is renewed once a day, so that it never ends while it is used. */
  get seated() { return this.ticket.token && !this.fresh && Date.now() < (this.ticket.renew || 0); }

  async session() {
    if (this.seated) return;
    const begin = () => this.begin();
    // one tab at a time: the others find its session
    this.starting ??= /** @type {Promise<any>} */ (navigator.locks?.request(this.name, begin) || begin()).finally(() => { this.starting = undefined; });
    await this.starting;
  }

  async begin() {
    this.adopt();
    if (this.seated) return;
    const who = this.fresh || !this.ticket.token ? this.who : null, claim = typeof who === 'function' ? await who() : who;
    const ask = async (/** @type {string | void} */ proof) => {
      const body = { ...(typeof claim === 'string' ? { identity: claim } : claim), proof };
      try { return await this.call('POST', 'sessions', { body }); } catch (/** @type {any} */ error) {
        if (error.status !== 428 || proof) throw error;
        return ask(await work(error.problem.challenge));
      }
    };
    const response = await ask().catch((error) => {
      if (error.status !== 401 || !this.ticket.token) throw error;
      this.drop();
      return ask();
    });
    const { token, conversation, bot: card } = await response.json();
    if (this.ticket.conversation && this.ticket.conversation !== conversation) this.drop();
    this.ticket = { token, conversation, card, renew: Date.now() + 864e5 };
    this.fresh = false;
    this.save();
    this.write(':out', this.outbox);
    this.tell('card');
  }

  /** Say who the visitor is, or with nothing that they left. @param {Claim | (() => Claim | Promise<Claim>)} [who] */
  identify(who) {
    this.who = who;
    this.fresh = Boolean(who);
    if (!who) { this.keep([]); this.drop(); }
    this.abort?.abort();
  }

  /** Forget who we are; what was not sent yet stays. */
  drop() {
    this.ticket = { card: this.ticket.card };
    this.last = '';
    this.save();
    this.tell('reset');
  }

  /** A call within the session; one that has ended is replaced once. @type {Client['call']} */
  async within(method, path, rest) {
    await this.session();
    const { token } = this.ticket;
    try { return await this.call(method, path, rest); } catch (error) {
      if (/** @type {any} */ (error).status !== 401) throw error;
      this.adopt();
      if (this.ticket.token === token) this.drop();
      await this.session();
      return this.call(method, path, rest);
    }
  }

  // the outbox

  /** @param {Outgoing[]} outbox @param {Outgoing[]} [stored] what all tabs together have not sent yet */
  keep(outbox, stored = outbox) {
    this.outbox = outbox;
    this.write(':out', stored);
  }

  /** @param {string} text */
  send(text) {
    const item = { key: newKey(), text };
    this.keep([...this.outbox, item], [...this.read(':out', []), item]);
    this.flush();
    return item;
  }

  /** Try what was given up once more; without a key, all that the network was to blame for. @param {string} [key] */
  retry(key) {
    for (const item of this.outbox) if (key ? item.key === key : item.failed === 'network') delete item.failed;
    this.flush();
  }

  /** Send what waits, one after the other: their order is the conversation's. */
  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    for (let tries = 0, item; (item = this.outbox.find((one) => !one.failed));) {
      const { key, text } = item, others = (/** @type {Outgoing} */ one) => one.key !== key;
      try {
        const answer = await (await this.within('POST', 'messages', { body: { text }, headers: { 'Idempotency-Key': key } })).json();
        this.keep(this.outbox.filter(others), this.read(':out', []).filter(others));
        tries = 0;
        this.tell('sent', { key, ...answer });
      } catch (error) {
        const { status = 0, after = 0, message } = /** @type {any} */ (error);
        const refused = status >= 400 && status < 500 && status !== 429 && status !== 408;
        if (refused || ++tries > 4) {
          item.failed = refused ? 'refused' : 'network';
          tries = 0;
          this.tell('failed', { key, detail: refused ? message : '' });
        } else await this.pause(tries, after);
      }
    }
    this.flushing = false;
  }

  /** @param {number} tries @param {number} [least] */
  pause(tries, least = 0) {
    return new Promise((/** @type {(_?: any) => void} */ done) => {
      const wake = () => { clearTimeout(timer); this.sleepers.delete(wake); done(); };
      const timer = setTimeout(wake, Math.max(least, Math.min(30000, 400 * 2 ** tries) * (0.5 + Math.random() / 2)));
      this.sleepers.add(wake);
    });
  }

  /** The network is back: do not sit out the rest of a pause. */
  hurry() {
    for (const wake of [...this.sleepers]) wake();
    this.retry();
  }

  // events

  /** Say whether events are wanted. @param {boolean} on */
  want(on) {
    if (on === this.wanted) return;
    this.wanted = on;
    if (!on) this.abort?.abort();
    for (const wake of [...this.sleepers]) wake();
    if (on && !this.looping) this.loop();
  }

  async loop() {
    this.looping = true;
    for (let tries = 0; this.wanted; tries++) {
      try {
        await this.listen(() => { tries = 0; });
      } catch (error) {
        const { status } = /** @type {any} */ (error);
        if (status === 403 || status === 404) { this.tell('state', 'unavailable'); break; }
      }
      if (!this.wanted) break;
      if (tries) this.tell('state', navigator.onLine ? 'connecting' : 'offline');
      await this.pause(tries);
    }
    this.looping = false;
  }

  /** Read events until the stream ends; silence longer than two pings is a dead line. @param {() => void} connected */
  async listen(connected) {
    await this.session();
    if (!this.wanted) return;
    const abort = this.abort = new AbortController();
    /** @type {any} */ let dog;
    const kick = () => { clearTimeout(dog); dog = setTimeout(() => abort.abort(), 40000); };
    kick();
    try {
      const response = await this.within('GET', 'events', { headers: this.last ? { 'Last-Event-ID': this.last } : {}, signal: abort.signal });
      const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader(), decoder = new TextDecoder();
      connected();
      this.tell('state', 'seconds');
      for (let rest = '';;) {
        const { done, value } = await reader.read();
        if (done) return;
        kick();
        const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n');
        rest = /** @type {string} */ (blocks.pop());
        for (const block of blocks) this.event(block);
      }
    } finally {
      clearTimeout(dog);
      abort.abort();
    }
  }

  /** @param {string} block */
  event(block) {
    const { event, id, data } = Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/)));
    if (!event) return;
    this.last = id;
    const facts = JSON.parse(data);
    this.tell(event, facts);
    if (event !== 'reset') this.share(event, facts);
  }

  /** Have the conversation deleted and begin another one. */
  async reset() {
    const { token } = this.ticket;
    this.keep([]);
    if (token) await this.call('DELETE', 'conversation').catch((error) => { if (error.status !== 401) throw error; });
    if (this.ticket.token === token) this.drop();
    this.abort?.abort();
    await this.session();
  }
}

// --- the element

class SensayChat extends HTMLElement {
  constructor() {
    super();
    /** @type {Map<string, any>} */ this.shown = new Map();
    this.born = this.unread = 0;
    this.opened = this.awaiting = false;
    /** @type {string | undefined} */ this.replied = undefined;
    /** @type {Promise<void> | undefined} */ this.painted = undefined;
  }

  connectedCallback() {
    if (this.client || !this.opt('bot') || this.held) return;
    this.born = Date.now();
    this.opened = this.awaiting = false;
    this.shown.clear();
    this.words = WORDS;
    this.client = this.meet();
    if (this.who) this.client.identify(this.who);
    this.draw();
    this.label();
    this.speak(this.client.language.slice(0, 2));
    for (const item of this.client.outbox) this.show({ role: 'user', text: item.text, key: item.key });
    this.quit = new AbortController();
    const listen = (/** @type {EventTarget} */ on, /** @type {string} */ name, /** @type {() => void} */ act) =>
      on.addEventListener(name, act, { signal: /** @type {AbortController} */ (this.quit).signal });
    listen(document, 'visibilitychange', () => this.tune());
    listen(window, 'online', () => this.client?.hurry());
    listen(window, 'offline', () => this.hear('state', 'offline'));
    listen(matchMedia('(prefers-color-scheme:dark)'), 'change', () => this.dress());
    if (window.visualViewport) for (const name of ['resize', 'scroll']) listen(window.visualViewport, name, () => this.fit());
    if (this.docked) this.open(false);
    this.client.flush();
    this.tune();
  }

  meet() {
    const language = this.closest('[lang]')?.getAttribute('lang') || navigator.language;
    return new Client(this.getAttribute('base') || BASE, this.opt('bot'), this.opt('storage'), language, (what, data) => this.hear(what, data));
  }

  disconnectedCallback() {
    this.quit?.abort();
    this.client?.want(false);
    if (this.client) this.client.tabs.onmessage = null;
    this.client = undefined;
  }

  /** What the page says, else what the bot's owner says. @param {string} name @returns {any} */
  opt(name) { return this.getAttribute(name) ?? (this.card || OWNER)[name === 'heading' ? 'title' : name]; }

  get card() { return this.client?.ticket.card; }

  // whose it is

  /** Nothing is drawn, asked for or kept until the page has the visitor's consent. */
  get held() { return String(this.opt('consent') ?? false) !== 'false' && !this.agreed; }

  /** The visitor agreed; false: not any more. */
  consent(yes = true) {
    this.agreed = yes;
    if (yes) return this.connectedCallback();
    (this.client || this.meet()).erase();
    this.disconnectedCallback();
    this.shadowRoot?.replaceChildren();
  }

  /** @param {any} [who] */
  identify(who) {
    this.who = who;
    this.client?.identify(who);
  }

  // words

  /** @param {string} name */
  say(name) { return this.words[name] || WORDS[name]; }

  /** @param {string} language */
  async speak(language) {
    if (!LANGUAGES.includes(language)) return;
    try {
      this.words = await (await fetch(`${BASE}/widget/${language}.json`, { credentials: 'omit', referrerPolicy: 'origin' })).json();
      this.label();
    } catch { /* English will do */ }
  }

  /** Put the words where they belong. */
  label() {
    this.root.dir = this.say('dir') || 'ltr';
    for (const [element, name, word] of this.labels || []) {
      if (name) element.setAttribute(name, this.say(word));
      else element.textContent = this.say(word);
    }
    this.hear('state', this.state.dataset.state);
    this.count(this.unread);
    this.dress();
  }

  /** Whether it is a part of the page rather than above it. */
  get docked() { return ['inline', 'page'].includes(this.root?.dataset.position); }

  // what it looks like

  draw() {
    const shadow = this.shadowRoot || this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    /** @type {any[]} */ const labels = this.labels = [];
    const named = (/** @type {any} */ element, /** @type {string} */ word, name = 'aria-label') => { labels.push([element, name, word]); return element; };
    const button = (/** @type {string} */ kind, /** @type {string} */ word, /** @type {() => void} */ act, /** @type {any} */ inside = '') =>
      named(h('button', { type: 'button', class: kind, click: act }, inside), word, inside ? 'aria-label' : '');
    this.badge = h('span', { class: 'badge', hidden: true });
    this.launcher = h('button', { class: 'launcher accent', type: 'button', 'aria-expanded': 'false', click: () => this.toggle() },
      icon('chat', ICONS.chat), icon('down', ICONS.down), this.badge);
    this.face = h('div', { class: 'face', 'aria-hidden': 'true' });
    this.heading = h('div', { id: 'title', class: 'title', role: 'heading' });
    this.state = h('div', { class: 'state', 'data-state': 'seconds' });
    this.closer = button('closer', 'close', () => this.close(), icon('close', ICONS.close));
    this.dots = h('div', { class: 'typing', hidden: true, 'aria-hidden': 'true' }, h('span', { class: 'bubble draft', dir: 'auto' }), h('span', { class: 'bubble dots' }, h('i'), h('i'), h('i')), h('span'));
    this.list = h('div', { class: 'list' }, this.dots);
    this.log = named(h('div', { class: 'log', role: 'log', tabindex: 0, 'aria-live': 'off', scroll: () => this.followed() }, this.list), 'log');
    this.more = button('more', 'more', () => this.follow(true));
    this.more.hidden = true;
    this.sure = named(h('div', { class: 'sure', role: 'group', hidden: true }, named(h('span'), 'sure', ''), button('yes', 'yes', () => this.reset()),
      button('', 'no', () => { this.sure.hidden = true; this.input.focus(); })), 'over');
    this.input = named(named(h('textarea', { rows: 1, maxlength: 4000, dir: 'auto', enterkeyhint: 'send',
      input: () => this.grow(), keydown: (/** @type {KeyboardEvent} */ event) => this.key(event) }), 'write'), 'write', 'placeholder');
    this.go = named(h('button', { class: 'send accent', type: 'submit', 'aria-disabled': 'true' }, icon('', ICONS.send)), 'send');
    this.spoken = h('div', { class: 'sr', role: 'status' });
    this.panel = h('section', { class: 'panel', id: 'panel', hidden: true, 'aria-labelledby': 'title' },
      h('header', { class: 'accent' }, this.face, h('div', { class: 'names' }, this.heading, this.state),
        button('over', 'over', () => { this.sure.hidden = false; this.sure.querySelector('button').focus(); }, icon('', ICONS.over)), this.closer),
      this.log,
      h('div', { class: 'foot' }, this.more, this.sure,
        h('form', { class: 'composer', submit: (/** @type {Event} */ event) => { event.preventDefault(); this.submit(); } }, this.input, this.go)),
      this.spoken);
    this.root = h('div', { class: 'root', keydown: (/** @type {KeyboardEvent} */ event) => this.escape(event) }, this.panel, this.launcher);
    shadow.replaceChildren(this.root);
  }

  /** Put on what page and owner configured; called again when the owner's part arrives. */
  dress() {
    const theme = this.opt('theme') || 'auto', title = this.opt('heading') || this.say('title'), color = this.opt('color');
    const dark = theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme:dark)').matches);
    this.root.toggleAttribute('data-dark', dark);
    this.root.dataset.position = this.opt('position') || 'bottom-right';
    this.launcher.hidden = this.closer.hidden = this.docked;
    const whole = this.root.dataset.position === 'page';
    this.panel.setAttribute('role', this.docked ? (whole ? 'main' : 'region') : 'dialog');
    this.heading.setAttribute('aria-level', whole ? 1 : 2);
    if (/^#[\da-f]{6}$/i.test(color || '')) {
      const [r, g, b] = [1, 3, 5].map((at) => (parseInt(color.slice(at, at + 2), 16) / 255) ** 2.2);
      this.root.style.setProperty('--a', color);
      // black or white, whichever has the contrast; it is enough in either case
      const light = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179;
      this.root.style.setProperty('--on', light ? '#000' : '#fff');
      this.root.style.setProperty('--link', light ? 'var(--ink)' : '');
    }
    this.heading.textContent = title;
    if (!this.painted) this.face.textContent = [...title.trim()][0]?.toUpperCase() || '•';
    if (this.card?.picture) this.painted ??= this.paint();
    this.greet();
  }

  /** Show the bot's picture: through the gateway, so that nobody else hears of the visitor, and on a canvas, which a page need not allow. */
  async paint() {
    try {
      const bitmap = await createImageBitmap(await (await fetch(`${this.client?.url}picture`, { credentials: 'omit', referrerPolicy: 'origin' })).blob());
      const canvas = h('canvas', { width: bitmap.width, height: bitmap.height });
      canvas.getContext('bitmaprenderer').transferFromImageBitmap(bitmap);
      this.face.replaceChildren(canvas);
    } catch { /* its initial will do */ }
  }

  greet() {
    const greeting = this.opt('greeting'), wish = this.opt('suggestions'), ideas = wish?.split?.('|') || wish || [];
    this.hello?.remove();
    this.chips?.remove();
    if (!greeting) return;
    this.hello = h('div', { class: 'message theirs' }, h('div', { class: 'bubble' }, h('div', { class: 'text', dir: 'auto' }, greeting)));
    this.list.prepend(this.hello);
    this.chips = h('div', { class: 'chips', hidden: this.shown.size > 0 },
      ...ideas.slice(0, 6).map((/** @type {string} */ idea) => h('button', { type: 'button', dir: 'auto', click: () => this.send(idea) }, idea)));
    if (ideas.length) this.hello.after(this.chips);
  }

  /** Phones: the keyboard covers the layout viewport, so the panel follows the visual one. */
  fit() {
    const view = window.visualViewport;
    if (!view || !this.opened) return;
    this.root.style.setProperty('--high', `${view.height}px`);
    this.root.style.setProperty('--top', `${Math.max(0, view.offsetTop)}px`);
  }

  // open and closed

  /** @param {boolean} [focus] */
  open(focus = true) {
    if (this.opened || !this.client) return;
    this.opened = true;
    this.panel.hidden = false;
    this.root.toggleAttribute('data-open', true);
    this.launcher.setAttribute('aria-expanded', 'true');
    this.count(0);
    this.client?.share('seen');
    this.fit();
    this.follow(true);
    if (focus) (matchMedia('(pointer:coarse)').matches ? this.log : this.input).focus();
    this.tune();
    this.emit('open');
  }

  close() {
    if (!this.opened || this.docked) return;
    const inside = this.shadowRoot?.activeElement;
    this.opened = false;
    this.panel.hidden = true;
    this.root.toggleAttribute('data-open', false);
    this.launcher.setAttribute('aria-expanded', 'false');
    this.count(0);
    if (inside) this.launcher.focus();
    this.tune();
    this.emit('close');
  }

  toggle() { if (this.opened) this.close(); else this.open(); }

  /** Listen only while someone looks or an answer is due: browsers allow few connections. */
  tune() {
    const busy = this.awaiting || (this.client?.outbox.length || 0) > 0;
    this.client?.want((this.opened || busy) && !document.hidden);
  }

  /** @param {KeyboardEvent} event */
  escape(event) {
    if (event.key === 'Escape' && this.opened && !this.docked) { event.stopPropagation(); this.close(); }
    const full = matchMedia('(max-width:480px),(max-height:420px)').matches;
    if (event.key !== 'Tab' || !full || this.docked || !this.opened) return;
    const stops = [...this.panel.querySelectorAll('button,textarea,a,[tabindex]')].filter((one) => one.getClientRects().length);
    const [edge, next] = event.shiftKey ? [0, -1] : [-1, 0];
    if (this.shadowRoot?.activeElement === stops.at(edge)) { event.preventDefault(); stops.at(next).focus(); }
  }

  // writing

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.submit();
  }

  grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
    this.go.setAttribute('aria-disabled', String(!this.input.value.trim()));
  }

  submit() {
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = '';
    this.grow();
    this.send(text);
  }

  /** @param {string} text */
  send(text) {
    if (!this.client || !String(text).trim()) return;
    const item = this.client.send(String(text).trim().slice(0, 4000));
    this.show({ role: 'user', text: item.text, key: item.key });
    this.input.focus({ preventScroll: true });
    this.tune();
    this.emit('send', { text: item.text });
  }

  async reset() {
    this.sure.hidden = true;
    try { await this.client?.reset(); } catch { this.client?.tell('state', 'connecting'); }
    this.input.focus();
  }

  // what happened

  /** @param {string} what @param {any} data */
  hear(what, data) {
    if (['message', 'delta', 'sent', 'failed'].includes(what)) /** @type {any} */ (this)[what](data);
    else if (what === 'typing') this.typing(6000);
    else if (what === 'queued') this.typing(20000, this.say('queued') + (data.seconds > 0 ? ` · ${Math.ceil(data.seconds)} s` : ''));
    else if (what === 'reset') this.clear();
    else if (what === 'seen') this.count(0);
    else if (what === 'card') this.met();
    else if (what === 'state') { this.state.textContent = this.say(data); this.state.dataset.state = data; }
    else if (what === 'error') this.emit('error', data);
    if (what === 'state' && data === 'seconds') setTimeout(() => this.log.setAttribute('aria-live', 'polite'), 1500);
  }

  /** The owner's part is here. If it asks for consent, a page that did not know asks for it now. */
  met() {
    if (this.held) { this.consent(false); this.emit('consent'); return; }
    this.dress();
    this.emit('ready');
  }

  /** @param {Message} message */
  message(message) {
    // the stream may be faster than the answer to the post
    const mine = message.role === 'user' && this.client?.outbox.find(({ key, text }) => text === message.text && this.shown.has(key));
    if (mine) this.settle(mine.key, message.id);
    const known = this.shown.get(message.id), fresh = Date.parse(message.created_at) > this.born - 5000;
    if (known) { known.classList.remove('late'); return; }
    this.show(message);
    if (message.role !== 'assistant') return;
    this.awaiting = false;
    this.replied = message.in_reply_to;
    this.typing(0);
    if (!this.opened && fresh) this.count(this.unread + 1);
    if (fresh) this.emit('message', message);
    this.tune();
  }

  /** @param {any} message */
  show(message) {
    const lang = this.words.lang || 'en', mine = message.role === 'user', time = new Date(message.created_at || Date.now()), today = time.toDateString() === new Date().toDateString();
    // in the language of the words; which region's, the browser knows
    const stamp = time.toLocaleString([...navigator.languages.filter((one) => one.startsWith(lang)), lang], { timeStyle: 'short', dateStyle: today ? undefined : 'medium' });
    const element = h('div', { class: `message ${mine ? 'mine' : 'theirs'}${message.id ? '' : ' waiting late'}` },
      h('div', { class: `bubble${mine ? ' accent' : ''}` }, h('span', { class: 'sr' }, `${this.say(mine ? 'you' : 'bot')} `),
        h('div', { class: 'text', dir: 'auto' }, message.content ? build(message.content) : message.text)),
      h('div', { class: 'meta' }, stamp));
    element.stamp = stamp;
    this.shown.set(message.id || message.key, element);
    // what the gateway has not confirmed yet comes after all that it has
    this.list.insertBefore(element, message.id && this.list.querySelector('.late') || this.dots);
    if (this.chips) this.chips.hidden = true;
    this.follow(mine && !message.id);
  }

  /** @param {{key: string, id: string, status: string}} answer */
  sent({ key, id, status }) {
    this.settle(key, id);
    if (status === 'queued' && id !== this.replied) { this.awaiting = true; this.typing(8000); }
    this.tune();
  }

  /** The gateway has it. @param {string} key @param {string} id */
  settle(key, id) {
    const element = this.shown.get(key);
    if (!element) return;
    element.classList.remove('waiting', 'failed');
    element.querySelector('.meta').textContent = element.stamp;
    this.shown.delete(key);
    this.shown.set(id, element);
  }

  /** @param {{key: string, detail: string}} failure */
  failed({ key, detail }) {
    const element = this.shown.get(key);
    if (!element) return;
    element.classList.add('failed');
    element.querySelector('.meta').replaceChildren(`${detail || this.say('failed')} `,
      h('button', { type: 'button', click: () => { element.classList.remove('failed'); this.client?.retry(key); this.input.focus(); } }, this.say('again')));
    this.follow(false);
    this.emit('error', { detail });
  }

  /** An answer that is being written, as far as it is; its message takes its place. Who listens hears only that one.
   * @param {{id: string, text: string}} piece */
  delta({ id, text }) {
    if (this.shown.has(id)) return;
    this.typing(8000);
    this.dots.firstChild.textContent = text;
    this.dots.lastChild.textContent = '';
    this.follow(false);
  }

  /** @param {number} time @param {string} [note] */
  typing(time, note = '') {
    clearTimeout(this.timer);
    const begins = this.dots.hidden && time > 0;
    this.dots.hidden = time === 0;
    // what was said of the line holds until the answer is here
    if (note || begins || !time) this.dots.lastChild.textContent = note;
    if (begins) { this.spoken.textContent = note || this.say('answering'); this.follow(false); }
    if (time) this.timer = setTimeout(() => this.typing(0), time);
    else this.spoken.textContent = this.dots.firstChild.textContent = '';
  }

  /** The conversation is gone: what was not sent yet stays. */
  clear() {
    const waiting = new Set((this.client?.outbox || []).map((item) => item.key));
    for (const [id, element] of this.shown) if (!waiting.has(id)) { element.remove(); this.shown.delete(id); }
    this.awaiting = false;
    this.typing(0);
    this.greet();
    this.emit('reset');
  }

  /** @param {number} unread */
  count(unread) {
    this.unread = unread;
    this.badge.hidden = !unread;
    this.badge.textContent = String(unread);
    this.launcher.setAttribute('aria-label', this.opened ? this.say('close') : this.say('open') + (unread ? ` (${unread} ${this.say('unread')})` : ''));
  }

  /** Keep the end in view, unless someone reads further up. @param {boolean} always */
  follow(always) {
    if (always || this.atEnd !== false) { this.log.scrollTop = this.log.scrollHeight; this.more.hidden = true; }
    else this.more.hidden = false;
  }

  followed() {
    this.atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    if (this.atEnd) this.more.hidden = true;
  }

  /** @param {string} name @param {any} [detail] */
  emit(name, detail) { this.dispatchEvent(new CustomEvent(`sensay-${name}`, { detail, bubbles: true })); }
}

// --- the page

/** Make the element that the page asked for, if it did, and offer the API. */
const boot = () => {
  const page = /** @type {any} */ (window).SensayWidget || {}, data = SCRIPT?.dataset || {};
  const bot = page.replicaId || data.bot || data.replicaId || BOT;
  const wishes = Object.entries({ ...data, ...page.config });
  /** @type {any} */ let chat = document.querySelector('sensay-chat');
  let place = () => {};
  if (bot && !document.querySelector(`sensay-chat[bot="${CSS.escape(bot)}"]`)) {
    chat = h('sensay-chat', { bot, base: BASE });
    for (const [name, value] of wishes) chat.setAttribute(name === 'title' ? 'heading' : name, Array.isArray(value) ? value.join('|') : value);
    place = () => { if (!chat.isConnected) (document.getElementById(page.containerId || data.container || '') || document.body).append(chat); };
    setTimeout(place); // in a task of its own: a slow phone stays responsive
  }
  for (const name of ['open', 'close', 'toggle', 'send', 'reset', 'identify', 'consent']) {
    page[name] = (/** @type {any[]} */ ...rest) => { place(); (chat || document.querySelector('sensay-chat'))?.[name](...rest); };
  }
  page.on = (/** @type {string} */ name, /** @type {any} */ act) => document.addEventListener(`sensay-${name}`, act);
  page.off = (/** @type {string} */ name, /** @type {any} */ act) => document.removeEventListener(`sensay-${name}`, act);
  /** @type {any} */ (window).SensayWidget = page;
  for (const [name, ...rest] of page.queue || []) page[name](...rest);
};

if (!customElements.get('sensay-chat')) customElements.define('sensay-chat', SensayChat);
if (document.body && document.readyState !== 'loading') boot();
else document.addEventListener('DOMContentLoaded', boot, { once: true });
})();
