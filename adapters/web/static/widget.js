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
/** @typedef {{id: string, role: string, text: string, content: any[], created_at: string, notice?: string}} Message */

const PLACE = /^(.*?)\/(?:widget(?:\/\w+)?|([^/]+)\/embed-script)\.js(?:[?#]|$)/;
const SCRIPT = /** @type {HTMLScriptElement} */ (document.currentScript || [...document.scripts].find((s) => PLACE.test(s.src)));
const [, BASE = location.origin, BOT = ''] = PLACE.exec(SCRIPT ? SCRIPT.src : '') || [];
const SETTINGS = ['theme', 'position', 'greeting', 'heading', 'color', 'storage', 'suggestions'];

/** @type {Record<string, Record<string, string>>} */
const TEXTS = {
  en: {
    open: 'Open chat', close: 'Close chat', send: 'Send', write: 'Write a message…', title: 'Chat', hello: 'Hi! How can I help you?',
    seconds: 'Usually answers in seconds', connecting: 'Connecting…', offline: 'You are offline', unavailable: 'Not available on this page',
    answering: 'Writing an answer', you: 'You said:', bot: 'Answer:', failed: 'Not sent.', again: 'Try again', more: 'New messages',
    log: 'Conversation', over: 'Start over', sure: 'Delete this conversation and start over?', yes: 'Delete', no: 'Keep', unread: 'unread',
    queued: 'Waiting in line',
  },
};
/** @param {string} name */
const say = (name) => (TEXTS[document.documentElement.lang.slice(0, 2)] || TEXTS.en)[name];

// --- nodes

/** @param {string} tag @param {Record<string, any>} [facts] @param {...(Node|string)} children @returns {any} */
const h = (tag, facts = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
};

/** @param {string} name @param {string} path */
const icon = (name, path) => {
  const make = (/** @type {string} */ tag) => document.createElementNS('http://www.w3.org/2000/svg', tag);
  const svg = make('svg'), line = make('path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', name);
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
};
const ICONS = {
  chat: 'M20.5 11.5a8 8 0 0 1-8.5 8 9 9 0 0 1-3.7-.8L3.5 20l1.4-4.2a7.6 7.6 0 0 1-1.4-4.3 8.2 8.2 0 0 1 8.5-8 8.2 8.2 0 0 1 8.5 8z',
  down: 'M5 9l7 7 7-7', close: 'M6 6l12 12M18 6L6 18', send: 'M12 20V4.5M5 11.5l7-7 7 7',
  over: 'M4 4v5.5h5.5M4.6 14.5a8 8 0 1 0 1.3-7.3L4 9.5',
};

const TAGS = new Set('p ul ol li blockquote pre code hr table thead tbody tr th td strong em s a'.split(' '));
const LINK = /^(https?:\/\/|mailto:|tel:)/i;

/** Build an answer: what is not on the list is shown as its text. @param {any[]} nodes @returns {DocumentFragment} */
const build = (nodes) => {
  const built = document.createDocumentFragment();
  for (const node of nodes || []) {
    if (typeof node === 'string') built.append(node);
    else if (node && node.tag === 'a' && LINK.test(node.href)) {
      built.append(h('a', { href: node.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, build(node.children)));
    } else if (node && /^h[1-6]$/.test(node.tag)) built.append(h('p', { class: 'heading' }, build(node.children)));
    else if (node && node.tag === 'table') built.append(h('div', { class: 'wide', tabindex: 0 }, h('table', {}, build(node.children))));
    else if (node && node.tag !== 'a' && TAGS.has(node.tag)) {
      const align = ['left', 'center', 'right'].includes(node.align) && node.align;
      built.append(h(node.tag, { start: node.start, 'data-align': align, tabindex: node.tag === 'pre' ? 0 : null }, build(node.children)));
    } else if (node) built.append(build(node.children));
  }
  return built;
};

/** `crypto.randomUUID` is missing on plain-http pages. */
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, '0')).join('');

// --- the client

/** One visitor's conversation: session, outbox and event stream. Tells the view what happens; touches no page. */
class Client {
  /** @param {string} base @param {string} bot @param {?string} storage @param {(what: string, data?: any) => void} tell */
  constructor(base, bot, storage, tell) {
    this.url = `${base}/v1/web/${encodeURIComponent(bot)}/`;
    this.name = `sensay:${base}:${bot}`;
    this.storage = storage;
    this.tell = tell;
    this.token = ''; this.conversation = ''; this.renew = 0;
    /** @type {any} */ this.card = null;
    /** @type {Outgoing[]} */ this.outbox = [];
    this.last = '';
    this.wanted = false;
    /** @type {Promise<void> | undefined} */ this.starting = undefined;
    /** @type {Set<() => void>} */ this.sleepers = new Set();
    this.load();
  }

  /** @returns {?Storage} */
  store() {
    const kind = this.storage || (this.card && this.card.storage) || 'local';
    try { return kind === 'none' ? null : kind === 'session' ? sessionStorage : localStorage; } catch { return null; }
  }

  load() {
    try {
      const { token, conversation, renew, card, outbox } = JSON.parse(this.store()?.getItem(this.name) || '{}');
      Object.assign(this, { token: token || '', conversation, renew: renew || 0, card: card || null, outbox: outbox || [] });
      for (const item of this.outbox) delete item.failed;
    } catch { /* damaged: begin anew */ }
  }

  save() {
    const { token, conversation, renew, card, outbox } = this;
    try { this.store()?.setItem(this.name, JSON.stringify({ token, conversation, renew, card, outbox })); } catch { /* full or forbidden */ }
  }

  /** @param {string} method @param {string} path @param {{body?: any, headers?: any, signal?: AbortSignal}} [rest] */
  async call(method, path, { body, headers, signal } = {}) {
    const response = await fetch(this.url + path, {
      method, signal: signal || AbortSignal.timeout(30000), body: body && JSON.stringify(body),
      credentials: 'omit', cache: 'no-store', referrerPolicy: 'origin',
      headers: { ...(body && { 'Content-Type': 'application/json' }), ...(this.token && { Authorization: `Bearer ${this.token}` }), ...headers },
    });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail || response.statusText), {
      status: response.status, after: 1000 * Number(response.headers.get('Retry-After')) || 0,
    });
  }

  /** Have a session; an old one is renewed once a day, so that it never ends while it is used. */
  async session() {
    if (this.token && Date.now() < this.renew) return;
    this.starting ??= this.begin().finally(() => { this.starting = undefined; });
    await this.starting;
  }

  async begin() {
    const ask = () => this.call('POST', 'sessions', { body: {} });
    const response = await ask().catch((error) => {
      if (error.status !== 401 || !this.token) throw error;
      this.drop();
      return ask();
    });
    const { token, conversation, bot } = await response.json();
    Object.assign(this, { token, conversation, card: bot, renew: Date.now() + 864e5 });
    this.save();
    this.tell('card', bot);
  }

  /** Forget who we are; what was not sent yet stays. */
  drop() {
    this.token = this.conversation = this.last = '';
    this.save();
    this.tell('reset');
  }

  /** A call within the session; one that has ended is replaced once. @type {Client['call']} */
  async within(method, path, rest) {
    await this.session();
    try { return await this.call(method, path, rest); } catch (error) {
      if (/** @type {any} */ (error).status !== 401) throw error;
      this.drop();
      await this.session();
      return this.call(method, path, rest);
    }
  }

  /** @param {string} text */
  send(text) {
    const item = { key: newKey(), text };
    this.outbox.push(item);
    this.save();
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
      try {
        const response = await this.within('POST', 'messages', { body: { text: item.text }, headers: { 'Idempotency-Key': item.key } });
        this.outbox = this.outbox.filter((one) => one !== item);
        this.save();
        tries = 0;
        this.tell('sent', { key: item.key, ...(await response.json()) });
      } catch (error) {
        const { status = 0, after = 0, message } = /** @type {any} */ (error);
        const refused = status >= 400 && status < 500 && status !== 429 && status !== 408;
        if (refused || ++tries > 4) {
          item.failed = refused ? 'refused' : 'network';
          tries = 0;
          this.tell('failed', { key: item.key, detail: refused ? message : '' });
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
    /** @type {Record<string, string>} */ const fields = {};
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
    }
    if (!fields.event) return;
    if (fields.id) this.last = fields.id;
    this.tell(fields.event, JSON.parse(fields.data || '{}'));
  }

  /** Have the conversation deleted and begin another one. */
  async reset() {
    const token = this.token;
    this.outbox = [];
    if (token) await this.call('DELETE', 'conversation').catch((error) => { if (error.status !== 401) throw error; });
    if (this.token === token) this.drop();
    this.abort?.abort();
    await this.session();
  }
}

// --- the element

const STYLE = `
:host{all:initial;display:block;--a:var(--sensay-color,#4f46e5);--on:var(--sensay-on-color,#fff);
--font:var(--sensay-font,ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif);
--r:var(--sensay-radius,20px);--gap:var(--sensay-gap,20px);--z:var(--sensay-z,2147483000);
--bg:#f7f7fb;--card:#fff;--ink:#1c1d26;--soft:#5d6272;--line:#e5e6ee;--code:#eeeff5;--bad:#c4281c;--good:#4ade80;--link:var(--a)}
:host([hidden]){display:none}
.root[data-dark]{--bg:#14151b;--card:#20222b;--ink:#eeeef4;--soft:#a3a7b7;--line:#30333f;--code:#2a2d38;--bad:#ff8f85;--link:#b3b5ff;color-scheme:dark}
*,*::before,*::after{box-sizing:border-box}
[hidden]{display:none!important}
.root{font:15px/1.5 var(--font);color:var(--ink);text-align:start;color-scheme:light;-webkit-font-smoothing:antialiased}
button,textarea{font:inherit;color:inherit;margin:0;border:1px solid transparent;background:none}
button{cursor:pointer;padding:0;-webkit-tap-highlight-color:transparent}
:focus{outline:none}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
svg{width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round;display:block}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.launcher{position:fixed;z-index:var(--z);width:60px;height:60px;border-radius:50%;display:grid;place-items:center;
box-shadow:0 6px 16px rgb(20 20 60/.2),0 12px 36px rgb(20 20 60/.18);transition:transform .2s cubic-bezier(.3,1.6,.6,1),box-shadow .2s}
.launcher:hover{transform:translateY(-2px) scale(1.04)}
.launcher:active{transform:scale(.95)}
.launcher svg{grid-area:1/1;width:28px;height:28px;transition:opacity .2s,transform .25s}
.launcher .down,.root[data-open] .launcher .chat{opacity:0;transform:rotate(-45deg) scale(.6)}
.root[data-open] .launcher .down{opacity:1;transform:none}
.badge{position:absolute;top:-3px;inset-inline-end:-3px;min-width:22px;height:22px;padding:0 6px;border-radius:11px;background:#c4281c;color:#fff;
font-size:12px;font-weight:700;line-height:20px;border:2px solid #fff;animation:pop .3s cubic-bezier(.3,1.6,.6,1)}
.panel{position:fixed;z-index:var(--z);display:flex;flex-direction:column;width:min(var(--sensay-width,392px),calc(100vw - 2*var(--gap)));
height:min(var(--sensay-height,640px),calc(100dvh - 2*var(--gap) - 76px));border-radius:var(--r);overflow:hidden;background:var(--bg);
box-shadow:0 0 0 1px rgb(20 20 60/.06),0 8px 24px rgb(20 20 60/.12),0 24px 72px rgb(20 20 60/.22);animation:open .26s cubic-bezier(.2,.9,.25,1)}
.root[data-dark] .panel{box-shadow:0 0 0 1px var(--line),0 24px 72px rgb(0 0 0/.6)}
[data-position^=bottom] .launcher{bottom:var(--gap)}[data-position^=top] .launcher{top:var(--gap)}
[data-position$=right] :is(.launcher,.panel){right:var(--gap)}[data-position$=left] :is(.launcher,.panel){left:var(--gap)}
[data-position^=bottom] .panel{bottom:calc(var(--gap) + 76px);transform-origin:bottom}
[data-position^=top] .panel{top:calc(var(--gap) + 76px);transform-origin:top}
[data-position=inline] .panel{position:static;width:100%;height:var(--sensay-height,600px);animation:none;box-shadow:0 0 0 1px var(--line)}
[data-position=page] .panel{inset:0;width:100%;height:100dvh;border-radius:0;animation:none;box-shadow:none}
[data-position=page] :is(header,.list,.composer,.sure){padding-inline:max(16px,calc(50vw - 370px))}
header{display:flex;align-items:center;gap:12px;padding:16px 14px 16px 16px;flex:none}
.face{width:42px;height:42px;border-radius:50%;background:rgb(255 255 255/.2);display:grid;place-items:center;font-weight:650;font-size:18px;flex:none;overflow:hidden}
.face img{width:100%;height:100%;object-fit:cover}
.names{flex:1;min-width:0}
h2{margin:0;font-size:16.5px;font-weight:650;line-height:1.3;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;letter-spacing:-.01em}
.state{font-size:13px;line-height:1.4;display:flex;align-items:center;gap:6px}
.state::before{content:"";width:8px;height:8px;border-radius:50%;background:var(--good);flex:none}
.state[data-state=connecting]::before{background:#facc15}.state:is([data-state=offline],[data-state=unavailable])::before{background:#d4d4d8}
header button{width:38px;height:38px;border-radius:12px;display:grid;place-items:center;transition:background .15s}
header button:hover{background:rgb(255 255 255/.18)}
header button:focus-visible{outline-color:var(--on)}
header svg{width:20px;height:20px}
.log{flex:1;min-height:0;overflow-y:auto;overscroll-behavior:contain;outline-offset:-3px;scrollbar-width:thin;scrollbar-color:var(--line) transparent}
.list{display:flex;flex-direction:column;padding:18px 16px 10px;min-height:100%}
.message{max-width:86%;align-self:flex-start;margin-top:12px;animation:rise .22s ease-out}
.message:first-child{margin-top:0}
.message.joined{margin-top:3px}
.mine{align-self:flex-end}
.bubble{padding:10px 14px;border:1px solid transparent;border-radius:18px;background:var(--card);box-shadow:0 1px 2px rgb(20 20 60/.07);overflow-wrap:anywhere;white-space:pre-wrap}
.theirs .bubble{border-color:var(--line)}
.theirs.tail .bubble{border-end-start-radius:5px}
.mine.tail .bubble{border-end-end-radius:5px}
.waiting .bubble{opacity:.65}
.meta{display:none;font-size:11.5px;line-height:1.4;color:var(--soft);padding:4px 6px 0}
.mine .meta{text-align:end}
.tail .meta,.failed .meta{display:block}
.failed .meta{color:var(--bad);font-size:13px}
.failed .meta button,.sure button{font-weight:600;text-decoration:underline;text-underline-offset:2px;padding:2px 4px}
.text{outline-offset:2px}
.text :is(p,ul,ol,pre,blockquote,hr){margin:0}.text :is(div,p,ul,ol,pre,blockquote,hr)+*{margin-top:8px}
.text :is(ul,ol){padding-inline-start:20px}.text li+li{margin-top:3px}
.text a{color:var(--link);text-decoration:underline;text-underline-offset:2px}
.mine .text a{color:inherit}
.heading{font-weight:650;font-size:1.05em}
strong,th{font-weight:650}
code,pre{font:.88em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--code);border-radius:6px}
code{padding:1px 5px}pre{padding:10px 12px;border-radius:10px;overflow-x:auto;white-space:pre;overflow-wrap:normal}
blockquote{border-inline-start:3px solid var(--line);padding-inline-start:10px;color:var(--soft)}
hr{border:0;border-top:1px solid var(--line);width:100%}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.94em}th,td{border:1px solid var(--line);padding:5px 9px;text-align:start;white-space:normal;overflow-wrap:normal}
[data-align=center]{text-align:center}[data-align=right]{text-align:right}
.chips{display:flex;flex-wrap:wrap;gap:8px;margin-top:14px;animation:rise .3s ease-out}
.chips button{border:1px solid var(--line);background:var(--card);color:var(--link);border-radius:18px;padding:7px 14px;font-size:14px;font-weight:550;line-height:1.4;
text-align:start;transition:border-color .15s,transform .15s}
.chips button:hover{border-color:var(--link);transform:translateY(-1px)}
.typing{align-self:flex-start;display:flex;align-items:center;gap:10px;margin-top:12px;color:var(--soft);font-size:13px;animation:rise .22s ease-out}
.dots{display:flex;gap:5px;padding:14px 15px}
.dots i{width:7px;height:7px;border-radius:50%;background:var(--soft);animation:dot 1.3s infinite ease-in-out}
.dots i:nth-child(2){animation-delay:.16s}.dots i:nth-child(3){animation-delay:.32s}
.foot{position:relative;flex:none;background:var(--card);border-top:1px solid var(--line);padding-bottom:env(safe-area-inset-bottom)}
.more{position:absolute;bottom:100%;left:50%;transform:translate(-50%,-12px);background:var(--card);border:1px solid var(--line);color:var(--link);border-radius:16px;
padding:5px 14px;font-size:13px;font-weight:600;box-shadow:0 4px 14px rgb(20 20 60/.16)}
.sure{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center;padding:10px 16px;font-size:14px;border-bottom:1px solid var(--line)}
.sure span{flex:1 1 180px}.sure .yes{color:var(--bad)}
.composer{display:flex;align-items:flex-end;gap:10px;padding:12px 14px}
textarea{flex:1;min-width:0;resize:none;font-size:16px;line-height:1.4;max-height:132px;height:44px;padding:10px 16px;border:1px solid var(--line);border-radius:22px;
background:var(--bg);overflow-y:auto;scrollbar-width:none;transition:border-color .15s,box-shadow .15s}
textarea::placeholder{color:var(--soft);opacity:1}
textarea:focus{outline:2px solid transparent;border-color:var(--link);box-shadow:0 0 0 1px var(--link)}
.send{width:44px;height:44px;border-radius:50%;display:grid;place-items:center;flex:none;transition:transform .15s,opacity .15s,filter .15s}
.send:hover{transform:scale(1.06)}
.send svg{width:20px;height:20px;stroke-width:2.3}
.accent{background:var(--a);background:linear-gradient(135deg,var(--a),color-mix(in oklab,var(--a) 72%,#a21caf));color:var(--on)}
.mine .accent{background:var(--a)}
.mine.failed .bubble{background:var(--card);color:var(--ink);border-color:var(--bad)}
.send[aria-disabled=true]{background:var(--code);color:var(--soft);cursor:default;transform:none}
@keyframes open{from{opacity:0;transform:translateY(14px) scale(.97)}}
@keyframes rise{from{opacity:0;transform:translateY(6px)}}
@keyframes pop{from{transform:scale(0)}}
@keyframes dot{0%,60%,100%{opacity:.35;transform:none}30%{opacity:1;transform:translateY(-4px)}}
@media (max-width:480px),(max-height:420px){
.root:not([data-position=inline]) .panel{inset:auto 0 auto 0;top:var(--top,0);width:100%;height:var(--high,100dvh);border-radius:0;box-shadow:none}
.root[data-open]:not([data-position=inline]) .launcher{display:none}}
@media (prefers-reduced-motion:reduce){*,*::before,*::after{animation:none!important;transition:none!important}}
@media (forced-colors:active){.panel,.launcher,.bubble,.send,.badge,header button{border:1px solid}.dots i{background:CanvasText}}
@media print{:host{display:none}}
`;

class SensayChat extends HTMLElement {
  constructor() {
    super();
    /** @type {Map<string, any>} */ this.shown = new Map();
    this.born = this.unread = 0;
    this.opened = this.awaiting = false;
  }

  connectedCallback() {
    if (this.client || !this.opt('bot')) return;
    this.born = Date.now();
    this.opened = this.awaiting = false;
    this.shown.clear();
    this.client = new Client(this.getAttribute('base') || BASE, this.opt('bot'), this.opt('storage'), (what, data) => this.hear(what, data));
    this.draw();
    this.dress();
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

  disconnectedCallback() {
    this.quit?.abort();
    this.client?.want(false);
    this.client = undefined;
  }

  /** What the page says, else what the bot's owner says. @param {string} name @returns {any} */
  opt(name) {
    const card = this.client?.card;
    return this.getAttribute(name) ?? (card ? card[name === 'heading' ? 'title' : name] : null);
  }

  /** Whether it is a part of the page rather than above it. */
  get docked() { return ['inline', 'page'].includes(this.root.dataset.position); }

  // what it looks like

  draw() {
    const shadow = this.shadowRoot || this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    const button = (/** @type {string} */ kind, /** @type {string} */ label, /** @type {() => void} */ act, /** @type {any[]} */ ...inside) =>
      h('button', { type: 'button', class: kind, 'aria-label': label, click: act }, ...inside);
    this.badge = h('span', { class: 'badge', hidden: true });
    this.launcher = button('launcher accent', say('open'), () => this.toggle(), icon('chat', ICONS.chat), icon('down', ICONS.down), this.badge);
    this.face = h('div', { class: 'face', 'aria-hidden': 'true' });
    this.heading = h('h2', { id: 'title' });
    this.state = h('div', { class: 'state' }, say('seconds'));
    this.closer = button('closer', say('close'), () => this.close(), icon('close', ICONS.close));
    this.dots = h('div', { class: 'typing', hidden: true, 'aria-hidden': 'true' }, h('span', { class: 'bubble dots' }, h('i'), h('i'), h('i')), h('span'));
    this.list = h('div', { class: 'list' }, this.dots);
    this.log = h('div', { class: 'log', role: 'log', tabindex: 0, 'aria-label': say('log'), 'aria-live': 'off', scroll: () => this.followed() }, this.list);
    this.more = h('button', { class: 'more', type: 'button', hidden: true, click: () => this.follow(true) }, say('more'));
    this.sure = h('div', { class: 'sure', role: 'group', 'aria-label': say('over'), hidden: true }, h('span', {}, say('sure')),
      h('button', { class: 'yes', type: 'button', click: () => this.reset() }, say('yes')),
      h('button', { type: 'button', click: () => { this.sure.hidden = true; this.input.focus(); } }, say('no')));
    this.input = h('textarea', { rows: 1, maxlength: 4000, placeholder: say('write'), 'aria-label': say('write'), dir: 'auto', enterkeyhint: 'send',
      input: () => this.grow(), keydown: (/** @type {KeyboardEvent} */ event) => this.key(event) });
    this.go = h('button', { class: 'send accent', type: 'submit', 'aria-label': say('send'), 'aria-disabled': 'true' }, icon('', ICONS.send));
    this.spoken = h('div', { class: 'sr', role: 'status' });
    this.panel = h('section', { class: 'panel', id: 'panel', hidden: true, 'aria-labelledby': 'title' },
      h('header', { class: 'accent' }, this.face, h('div', { class: 'names' }, this.heading, this.state),
        button('over', say('over'), () => { this.sure.hidden = false; this.sure.querySelector('button').focus(); }, icon('', ICONS.over)), this.closer),
      this.log,
      h('div', { class: 'foot' }, this.more, this.sure,
        h('form', { class: 'composer', submit: (/** @type {Event} */ event) => { event.preventDefault(); this.submit(); } }, this.input, this.go)),
      this.spoken);
    this.root = h('div', { class: 'root', keydown: (/** @type {KeyboardEvent} */ event) => this.escape(event) }, this.panel, this.launcher);
    shadow.replaceChildren(this.root);
  }

  /** Put on what page and owner configured; called again when the owner's part arrives. */
  dress() {
    const theme = this.opt('theme') || 'auto', title = this.opt('heading') || say('title'), color = this.opt('color');
    const dark = theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme:dark)').matches);
    this.root.toggleAttribute('data-dark', dark);
    this.root.dataset.position = this.opt('position') || 'bottom-right';
    this.launcher.hidden = this.closer.hidden = this.docked;
    this.panel.setAttribute('role', this.docked ? (this.root.dataset.position === 'page' ? 'main' : 'region') : 'dialog');
    if (/^#[\da-f]{6}$/i.test(color || '')) {
      const [r, g, b] = [1, 3, 5].map((at) => (parseInt(color.slice(at, at + 2), 16) / 255) ** 2.2);
      this.root.style.setProperty('--a', color);
      this.root.style.setProperty('--on', 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? '#14151b' : '#fff');
    }
    this.heading.textContent = title;
    this.picture(title, this.opt('picture'));
    this.greet();
  }

  /** A picture from elsewhere would tell a third party who visits: only the gateway's own is shown. @param {string} title @param {?string} url */
  picture(title, url) {
    const own = url && (url.startsWith('data:image/') || url.startsWith(`${BASE}/`));
    this.face.replaceChildren(own ? h('img', { src: url, alt: '' }) : [...title.trim()][0]?.toUpperCase() || '•');
  }

  greet() {
    const card = this.client?.card, greeting = this.getAttribute('greeting') || (card ? card.greeting || say('hello') : '');
    this.hello?.remove();
    this.chips?.remove();
    if (!greeting) return;
    this.hello = h('div', { class: 'message theirs' }, h('div', { class: 'bubble' }, h('div', { class: 'text', dir: 'auto' }, greeting)));
    this.list.prepend(this.hello);
    const asked = this.getAttribute('suggestions'), ideas = asked ? asked.split('|') : (card && card.suggestions) || [];
    this.chips = h('div', { class: 'chips', hidden: this.shown.size > 0 },
      ...ideas.slice(0, 6).map((/** @type {string} */ idea) => h('button', { type: 'button', dir: 'auto', click: () => this.send(idea) }, idea)));
    if (ideas.length) this.hello.after(this.chips);
    this.group();
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
    if (this.opened) return;
    this.opened = true;
    this.count(0);
    this.panel.hidden = false;
    this.root.toggleAttribute('data-open', true);
    this.launcher.setAttribute('aria-label', say('close'));
    this.launcher.setAttribute('aria-expanded', 'true');
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
    this.launcher.setAttribute('aria-label', say('open'));
    this.launcher.setAttribute('aria-expanded', 'false');
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
    const stops = [...this.panel.querySelectorAll('button,textarea,a,[tabindex]')].filter((one) => one.checkVisibility?.() ?? true);
    const at = this.shadowRoot?.activeElement, edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (at === edge) { event.preventDefault(); stops[event.shiftKey ? stops.length - 1 : 0].focus(); }
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
    if (what === 'message') this.message(data);
    else if (what === 'typing') this.typing(6000);
    else if (what === 'queued') this.typing(20000, data.seconds > 0 ? `${say('queued')} · ${Math.ceil(data.seconds)} s` : say('queued'));
    else if (what === 'sent') this.sent(data);
    else if (what === 'failed') this.failed(data);
    else if (what === 'reset') this.clear();
    else if (what === 'card') { this.dress(); this.emit('ready'); }
    else if (what === 'state') { this.state.textContent = say(data); this.state.dataset.state = data; }
    else if (what === 'error') this.emit('error', data);
    if (what === 'state' && data === 'seconds') setTimeout(() => this.log.setAttribute('aria-live', 'polite'), 1500);
  }

  /** @param {Message} message */
  message(message) {
    const known = this.shown.get(message.id), fresh = Date.parse(message.created_at) > this.born - 5000;
    if (known) { known.settled = true; known.classList.remove('waiting'); return; }
    this.show(message);
    if (message.role !== 'assistant') return;
    this.awaiting = false;
    this.typing(0);
    if (!this.opened && fresh) this.count(this.unread + 1);
    if (fresh) this.emit('message', message);
    this.tune();
  }

  /** @param {any} message */
  show(message) {
    const mine = message.role === 'user', time = new Date(message.created_at || Date.now()), today = time.toDateString() === new Date().toDateString();
    const stamp = time.toLocaleString([], today ? { hour: '2-digit', minute: '2-digit' } : { dateStyle: 'medium', timeStyle: 'short' });
    const element = h('div', { class: `message ${mine ? 'mine' : 'theirs'}${message.id ? '' : ' waiting'}` },
      h('div', { class: `bubble${mine ? ' accent' : ''}` }, h('span', { class: 'sr' }, `${say(mine ? 'you' : 'bot')} `),
        h('div', { class: 'text', dir: 'auto' }, message.content ? build(message.content) : message.text)),
      h('div', { class: 'meta' }, stamp));
    element.settled = Boolean(message.id);
    element.stamp = stamp;
    this.shown.set(message.id || message.key, element);
    // what the gateway has not confirmed yet comes after all that it has
    const later = element.settled && [...this.list.children].find((one) => one.settled === false);
    this.list.insertBefore(element, later || this.dots);
    if (this.chips) this.chips.hidden = true;
    this.group();
    this.follow(mine && !element.settled);
  }

  /** Messages of one side in a row stand close; the time is under the last. */
  group() {
    const all = [...this.list.children].filter((one) => one.classList.contains('message'));
    all.forEach((one, at) => {
      const side = one.classList.contains('mine');
      one.classList.toggle('joined', at > 0 && all[at - 1].classList.contains('mine') === side);
      one.classList.toggle('tail', all[at + 1]?.classList.contains('mine') !== side);
    });
  }

  /** @param {{key: string, id: string, status: string}} answer */
  sent({ key, id, status }) {
    const element = this.shown.get(key);
    this.shown.delete(key);
    if (this.shown.has(id)) { element?.remove(); this.group(); }
    else if (element) {
      element.classList.remove('waiting', 'failed');
      element.querySelector('.meta').textContent = element.stamp;
      this.shown.set(id, element);
    }
    if (status === 'queued') { this.awaiting = true; this.typing(8000); }
    this.tune();
  }

  /** @param {{key: string, detail: string}} failure */
  failed({ key, detail }) {
    const element = this.shown.get(key);
    if (!element) return;
    element.classList.add('failed');
    element.querySelector('.meta').replaceChildren(`${detail || say('failed')} `,
      h('button', { type: 'button', click: () => { element.classList.remove('failed'); this.client?.retry(key); this.input.focus(); } }, say('again')));
    this.follow(false);
    this.emit('error', { detail });
  }

  /** @param {number} time @param {string} [note] */
  typing(time, note = '') {
    clearTimeout(this.timer);
    const begins = this.dots.hidden && time > 0;
    this.dots.hidden = time === 0;
    this.dots.lastChild.textContent = note;
    if (begins) { this.spoken.textContent = note || say('answering'); this.follow(false); }
    if (time) this.timer = setTimeout(() => this.typing(0), time);
    else this.spoken.textContent = '';
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
    if (unread) this.launcher.setAttribute('aria-label', `${say('open')} (${unread} ${say('unread')})`);
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
  emit(name, detail) { this.dispatchEvent(new CustomEvent(`sensay-${name}`, { detail, bubbles: true, composed: true })); }
}

// --- the page

/** Make the element that the page asked for, if it did, and offer the API. */
const boot = () => {
  const page = /** @type {any} */ (window).SensayWidget || {}, data = SCRIPT ? { ...SCRIPT.dataset } : {};
  const bot = page.replicaId || page.bot || data.bot || data.replicaId || decodeURIComponent(BOT);
  const wish = { ...data, ...page.config };
  /** @type {any} */ let chat = document.querySelector('sensay-chat');
  if (bot && ![...document.querySelectorAll('sensay-chat')].some((one) => one.getAttribute('bot') === bot)) {
    chat = h('sensay-chat', { bot, base: BASE });
    for (const name of SETTINGS) {
      const value = wish[name === 'heading' ? 'title' : name];
      if (value != null) chat.setAttribute(name, Array.isArray(value) ? value.join('|') : String(value));
    }
    (document.getElementById(page.containerId || data.container || data.containerId || '') || document.body).append(chat);
  }
  const api = Object.fromEntries(['open', 'close', 'toggle', 'send', 'reset'].map((name) =>
    [name, (/** @type {any[]} */ ...rest) => (chat || document.querySelector('sensay-chat'))?.[name](...rest)]));
  const wraps = new Map();
  Object.assign((/** @type {any} */ (window).SensayWidget = page), api, {
    on(/** @type {string} */ name, /** @type {(detail: any) => void} */ act) {
      const wrap = (/** @type {any} */ event) => act(event.detail);
      wraps.set(act, wrap);
      document.addEventListener(`sensay-${name}`, wrap);
    },
    off(/** @type {string} */ name, /** @type {any} */ act) { document.removeEventListener(`sensay-${name}`, wraps.get(act)); },
  });
};

if (!customElements.get('sensay-chat')) customElements.define('sensay-chat', SensayChat);
if (document.body && document.readyState !== 'loading') boot();
else document.addEventListener('DOMContentLoaded', boot, { once: true });
})();
