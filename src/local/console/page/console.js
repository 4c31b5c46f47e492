// The console. Everything that comes from outside is put into the page as text (`textContent`), never as HTML; the page's
// content security policy enforces it.
"use strict";

const API = "/_wschat/api/";
/** How many events the page keeps, and how many rows it shows. */
const MAX_ITEMS = 4000, MAX_ROWS = 400;
const TABS = ["timeline", "chat", "invocations", "connections", "tables", "resources"];

// ---------------------------------------------------------------------------------------------- helpers

const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (where the name has a hyphen or is `role`) and children. */
function el(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null) continue;
    if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else if (key === "hue") made.style.setProperty("--hue", value);
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made[key] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

async function call(method, path, body) {
  const answer = await fetch(API + path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let value = {};
  try { value = JSON.parse(text); } catch { /* not JSON: an error below */ }
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw Object.assign(new Error(value.message || `the local cloud answered ${answer.status}`), { status: answer.status });
  return value;
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 4000);
}

const attempt = (work) => Promise.resolve().then(work).catch((error) => toast(error.message));

const two = (n, width = 2) => String(n).padStart(width, "0");
function timeOf(at) {
  const d = new Date(at);
  return [`${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`, `.${two(d.getMilliseconds(), 3)}`];
}
function time(at) {
  const [seconds, ms] = timeOf(at);
  return el("span", { className: "time", title: new Date(at).toISOString() }, seconds, el("span", { className: "ms" }, ms));
}
function ago(at) {
  const s = Math.max(0, Math.round((Date.now() - at) / 1000));
  return s < 60 ? `${s} s ago` : s < 3600 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`;
}
const duration = (ms) => ms === undefined || ms === null ? "" : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
const bytes = (n) => n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} kB` : `${(n / 1048576).toFixed(1)} MB`;
function pretty(text) {
  const start = text.trimStart()[0];
  if (start !== "{" && start !== "[") return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
const oneLine = (text) => text.slice(0, 400).replace(/\s+/g, " ") || "(empty)";
const hueOf = (id) => { let hash = 7; for (const c of id) hash = (hash * 31 + c.charCodeAt(0)) % 360; return (hash * 47) % 360; };
const isCut = (text) => text.text.length < text.size && new TextEncoder().encode(text.text).length < text.size;

function stored(key, fallback) { try { return JSON.parse(sessionStorage.getItem(key)) ?? fallback; } catch { return fallback; } }
function store(key, value) { try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* full or forbidden: not kept */ } }

// ---------------------------------------------------------------------------------------------- what is known

/** The overview as the local cloud last told it. */
let cloud = { apis: [], functions: [], tables: [], roles: [], logGroups: [], stacks: [], connections: [] };
let epoch = "";
/** The rows of the timeline in order, and what they are made of. */
let items = [];
let byRequest = new Map(), invocations = new Map(), invocationList = [], connections = new Map();
let itemNumber = 0;

function forget() {
  items = []; byRequest = new Map(); invocations = new Map(); invocationList = []; connections = new Map();
  timeline.reset(); invocationRows.reset();
}

function connection(id, api, stage) {
  let found = connections.get(id);
  if (!found) {
    connections.set(id, found = { id, api, stage, received: 0, sent: 0 });
    if (connections.size > MAX_ITEMS) for (const [key, one] of connections) if (one.open === false) { connections.delete(key); break; }
  }
  return found;
}

function add(item) {
  item.key = ++itemNumber;
  item.invocations = item.invocations || [];
  items.push(item);
  if (items.length > MAX_ITEMS) {
    const gone = items.shift();
    if (gone.requestId && byRequest.get(gone.requestId) === gone) byRequest.delete(gone.requestId);
    timeline.drop(gone);
  }
  timeline.touch(item);
  return item;
}

/** Takes in one event of the feed. */
function take(event) {
  const { type, seq, at } = event;
  switch (type) {
    case "opened": {
      Object.assign(connection(event.connection, event.api, event.stage), { open: true, since: at, last: at, userAgent: event.userAgent, sourceIp: event.sourceIp });
      claim(event);
      const item = add({ kind: "opened", ...event });
      adopt(item);
      break;
    }
    case "refused":
      adopt(add({ kind: "refused", ...event, failed: true }));
      break;
    case "closed": {
      connection(event.connection, event.api, event.stage).open = false;
      byRequest.set(event.requestId, add({ kind: "closed", ...event, failed: Boolean(event.why) }));
      break;
    }
    case "received": {
      const known = connection(event.connection, event.api, event.stage);
      known.received += 1;
      known.last = at;
      byRequest.set(event.requestId, add({ kind: "in", ...event }));
      break;
    }
    case "handled": {
      const item = byRequest.get(event.requestId);
      if (item) {
        item.handled = event;
        if (event.why) { item.failed = true; item.why = event.why; }
        timeline.touch(item);
        if (event.answer) {
          connection(item.connection, item.api, item.stage).sent += 1;
          add({ kind: "out", seq, at, connection: item.connection, api: item.api, stage: item.stage, route: item.route,
            text: event.answer, answerTo: item, failed: Boolean(event.why) });
        }
      }
      break;
    }
    case "posted": {
      const known = connection(event.connection, event.api, event.stage);
      known.sent += 1;
      known.last = at;
      const by = invocations.get(event.invocation);
      const item = add({ kind: "out", ...event, by });
      if (by) { by.posts.push(item); item.route = by.item && by.item.route; touchInvocation(by); }
      break;
    }
    case "invoked": {
      const made = { ...event, id: event.invocation, lines: [], posts: [], key: ++itemNumber };
      const early = invocations.get(made.id);
      if (early && early.waiting) { made.lines = early.lines; }
      invocations.set(made.id, made);
      invocationList.push(made);
      if (invocationList.length > MAX_ITEMS) {
        const gone = invocationList.shift();
        invocations.delete(gone.id);
        invocationRows.drop(gone);
      }
      const cause = made.cause ? byRequest.get(made.cause) : null;
      if (cause) attach(made, cause);
      else if (!made.cause) attach(made, add({ kind: "direct", seq, at, function: made.function, region: made.region }));
      touchInvocation(made);
      break;
    }
    case "returned": {
      const found = invocations.get(event.invocation);
      if (found) {
        found.end = event;
        found.failed = event.status !== "success";
        if (found.item && found.item.kind === "direct") found.item.failed = found.failed;
        touchInvocation(found);
        tables.changed();
      }
      break;
    }
    case "logged": {
      const found = event.invocation && invocations.get(event.invocation);
      if (found) { found.lines.push(event); touchInvocation(found); }
      add({ kind: "log", ...event, by: found || null });
      break;
    }
  }
}

/** Invocations of `$connect` begin before the client is known: they wait for it under the id of its request. */
function adopt(item) {
  if (!item.requestId) return;
  byRequest.set(item.requestId, item);
  for (const one of invocationList.slice(-200)) if (one.cause === item.requestId && !one.item) attach(one, item);
}

function attach(invocation, item) {
  invocation.item = item;
  item.invocations.push(invocation);
  touchInvocation(invocation);
}

function touchInvocation(invocation) {
  invocationRows.touch(invocation);
  if (invocation.item) timeline.touch(invocation.item);
}

const stackOfApi = (id) => cloud.apis.find((api) => api.id === id)?.stack;
const stackOfFunction = (name, region) => cloud.functions.find((one) => one.name === name && one.region === region)?.stack;
/** The name of a function in its template, where it has one. */
const shortName = (name) => cloud.functions.find((one) => one.name === name)?.logicalId || name;
const inStack = (stack) => !$("stack").value || stack === $("stack").value;
const ofStack = (item) => inStack(item.api !== undefined ? stackOfApi(item.api) : stackOfFunction(item.function, item.region));

// ---------------------------------------------------------------------------------------------- lists of rows

/**
 * A list whose rows open in place. Rows are drawn in the next frame, and only those of `MAX_ROWS` items.
 * `draw(item, open)` gives the parts of a row; `wanted(item)` says whether it is shown.
 */
function list(root, { all, wanted, draw, follow, empty }) {
  const drawn = new Map(), open = new Set(), dirty = new Set();
  let again = false, pending = false, current = null;

  const schedule = () => { if (!pending) { pending = true; requestAnimationFrame(update); } };
  function touch(item) { dirty.add(item); schedule(); }
  function refilter() { again = true; schedule(); }
  function drop(item) { drawn.get(item.key)?.remove(); drawn.delete(item.key); open.delete(item.key); dirty.delete(item); }
  function reset() { root.replaceChildren(); drawn.clear(); open.clear(); dirty.clear(); refilter(); }

  function fill(row, item) {
    const isOpen = open.has(item.key);
    const { line, detail, classes } = draw(item, isOpen);
    // Drawing a row again must not show it as new again.
    row.className = `row ${classes}${row.fresh ? " fresh" : ""}`;
    row.fresh = false;
    row.setAttribute("aria-expanded", isOpen);
    // What the user has opened or selected within a detail stays while the rest is drawn again.
    const opened = [...row.querySelectorAll("details[open]")].map((one) => one.dataset.name);
    row.replaceChildren(line, ...(detail ? [detail] : []));
    for (const one of row.querySelectorAll("details")) one.open = opened.includes(one.dataset.name);
  }

  function make(item, fresh) {
    const row = el("div", { role: "treeitem", tabIndex: -1 });
    row.item = item;
    row.fresh = fresh;
    fill(row, item);
    drawn.set(item.key, row);
    return row;
  }

  function update() {
    pending = false;
    const atEnd = follow && follow();
    if (again) {
      again = false;
      const focused = document.activeElement?.closest?.(".row")?.item;
      root.replaceChildren();
      drawn.clear();
      const shown = all().filter(wanted).slice(-MAX_ROWS);
      root.append(...shown.map((item) => make(item, false)));
      if (focused && drawn.has(focused.key)) drawn.get(focused.key).focus({ preventScroll: true });
    } else {
      const fresh = document.createDocumentFragment();
      for (const item of dirty) {
        const row = drawn.get(item.key);
        if (row) { if (wanted(item)) fill(row, item); else { row.remove(); drawn.delete(item.key); } }
        else if (wanted(item)) {
          // New ones come last; an older one that is wanted now has its place.
          const after = [...drawn.values()].findLast((other) => other.isConnected && other.item.key < item.key);
          if (!after || after === root.lastElementChild) fresh.append(make(item, true));
          else after.after(make(item, true));
        }
      }
      root.append(fresh);
      while (root.childElementCount > MAX_ROWS) { const first = root.firstElementChild; drawn.delete(first.item.key); first.remove(); }
    }
    dirty.clear();
    empty.hidden = root.childElementCount > 0;
    if (!current?.isConnected) { current = root.lastElementChild; if (current) current.tabIndex = 0; }
    if (atEnd) root.scrollTop = root.scrollHeight;
  }

  function focusRow(row) {
    if (!row) return;
    if (current) current.tabIndex = -1;
    current = row;
    row.tabIndex = 0;
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  }
  function toggle(row) {
    const key = row.item.key;
    if (!open.delete(key)) open.add(key);
    fill(row, row.item);
    row.scrollIntoView({ block: "nearest" });
  }

  root.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row && event.target.closest(".line")) { focusRow(row); toggle(row); }
  });
  root.addEventListener("keydown", (event) => {
    const row = event.target.closest(".row");
    if (!row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowDown: row.nextElementSibling, j: row.nextElementSibling, ArrowUp: row.previousElementSibling,
      k: row.previousElementSibling, Home: root.firstElementChild, End: root.lastElementChild };
    if (event.key in to) { focusRow(to[event.key]); event.preventDefault(); }
    else if (event.key === "Enter" || event.key === " ") { toggle(row); event.preventDefault(); }
    else if (event.key === "ArrowRight" && !open.has(row.item.key)) toggle(row);
    else if (event.key === "ArrowLeft" && open.has(row.item.key)) toggle(row);
    else if (event.key === "r" && row.item.kind === "in") attempt(() => replay(row.item));
    else if (event.key === "f" && row.item.connection) filterBy($("by-connection").value === row.item.connection ? "" : row.item.connection);
    else return;
    event.stopPropagation();
  });
  return { touch, refilter, drop, reset, focusLast: () => focusRow(current?.isConnected ? current : root.lastElementChild) };
}

const nameOf = (id) => id ? id.slice(0, 6) : "–";
function chip(id) {
  const pane = panes.find((one) => one.connection === id);
  return el("span", { className: "chip", title: id || "no connection", hue: hueOf(id || "") }, pane ? el("b", {}, pane.letter) : nameOf(id));
}

function whyBox(why) {
  return el("div", { className: "why" }, el("strong", {}, why.what), el("span", { className: "quiet" }, `Where: ${why.where}`),
    el("span", { className: "do" }, `What to do: ${why.do}`));
}

function copyButton(text) {
  return el("button", { type: "button", className: "small", onclick: () => attempt(async () => {
    await navigator.clipboard.writeText(text()); toast("Copied.");
  }) }, "Copy");
}

function memory(end) {
  if (!end || end.memoryUsed === null) return el("span", { className: "memory" });
  const text = `${end.memoryUsed} of ${end.memory} MB`;
  return el("span", { className: "memory quiet", title: `Memory: ${text}` },
    el("meter", { min: 0, max: end.memory, high: end.memory * 0.9, value: end.memoryUsed, "aria-label": `memory ${text}` }), text);
}

/** Log lines for people: Lambda's time, level and message, and the stack of an error as lines. */
function readable(text) {
  return text.split("\n").map((line) => {
    const [, at, level, rest] = /^(\d{4}-\d\d-\d\dT[\d:.]+Z)\t[^\t]*\t([A-Z]+)\t(.*)$/.exec(line) || [];
    if (!at) return line;
    const start = rest.indexOf("{");
    let said = rest;
    try {
      const { stack } = JSON.parse(rest.slice(start));
      if (Array.isArray(stack)) said = `${rest.slice(0, start).trim()}\n${stack.join("\n")}`;
    } catch { /* the message is no JSON */ }
    return `${timeOf(Date.parse(at)).join("")}  ${level.padEnd(5)}  ${said}`;
  }).join("\n");
}

/** One invocation: what it took, its log lines in place, what it was given and what it returned. */
function invocationCard(one) {
  const end = one.end;
  const lines = one.lines.map((line) => readable(line.text.text)).join("\n");
  const state = !end ? el("span", { className: "quiet" }, "running…")
    : end.status === "success" ? el("span", { className: "ok" }, "✓ success")
    : el("span", { className: "bad" }, `✕ ${end.status === "timeout" ? "timed out" : end.errorType || "error"}`);
  return el("div", { className: "card" },
    el("div", { className: "head" }, el("span", { className: "name", title: one.function }, `ƒ ${shortName(one.function)}`), state,
      end && el("span", { title: "How long the handler ran" }, duration(end.duration)),
      end && el("span", { className: "quiet", title: "Billed duration, with the init phase" }, `billed ${end.billed} ms`),
      one.cold && el("span", { className: "quiet", title: "An execution environment had to start" }, end && end.init !== null ? `cold start ${duration(end.init)}` : "cold start"),
      end && memory(end)),
    lines ? el("pre", { className: "log" }, lines) : el("pre", { className: "log none" }, end ? "It logged nothing." : "Nothing logged so far."),
    el("details", { "data-name": `event ${one.id}` }, el("summary", {}, `Event, ${bytes(one.event.size)}`), el("pre", {}, shown(one.event))),
    end && el("details", { "data-name": `result ${one.id}` }, el("summary", {}, `Result, ${bytes(end.result.size)}`), el("pre", {}, shown(end.result))));
}

const shown = (text) => pretty(text.text) + (isCut(text) ? `\n… ${bytes(text.size)} in all` : "");

function sentBy(posts) {
  return el("div", {}, el("h3", {}, `Sent through @connections (${posts.length})`), el("div", { className: "box sent" },
    posts.slice(0, 50).map((post) => el("div", {}, el("span", { className: "sign" }, "←"), chip(post.connection), el("code", {}, oneLine(post.text.text))))));
}

function facts(pairs) {
  return el("dl", { className: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== "" && value !== null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

const CLOSE_CODES = { 1000: "normal", 1001: "going away", 1005: "no status", 1006: "broken off", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid data", 1009: "too large" };

function drawItem(item, open) {
  const signs = { in: "→", out: "←", opened: "●", closed: "○", refused: "✕", direct: "ƒ", log: "≡" };
  const line = el("div", { className: "line" }, time(item.at), el("span", { className: "sign", "aria-hidden": "true" }, signs[item.kind]));
  const last = item.invocations[item.invocations.length - 1];
  const route = (text, none) => el("span", { className: none ? "pill none" : "pill", title: text }, text);
  const words = (text) => el("span", { className: "text words" }, text);
  const outcome = (...parts) => el("span", { className: "outcome" }, ...parts);
  const ran = last ? [el("span", { className: "name" }, shortName(last.function)), last.end ? ` ${duration(last.end.duration)}` : " …"] : [];
  const detail = el("div", { className: "detail" });
  const why = item.why || null;

  if (item.kind === "in") {
    line.append(chip(item.connection), route(item.route || "no route", !item.route), el("span", { className: "text" }, oneLine(item.text.text)));
    line.append(outcome(...(item.replayed ? ["replayed · "] : []), ...ran, item.handled ? (item.failed ? el("span", { className: "bad" }, ` ✕ ${item.handled.status}`) : " ✓") : ran.length ? "" : "…"));
    if (open) {
      if (why) detail.append(whyBox(why));
      detail.append(el("div", {}, el("h3", {}, `Frame from the client, ${bytes(item.text.size)}`), el("pre", {}, shown(item.text))),
        el("div", { className: "actions" }, el("button", { type: "button", className: "small replay", onclick: () => attempt(() => replay(item)) }, "Replay (r)"),
          copyButton(() => item.text.text), filterButton(item)));
    }
  } else if (item.kind === "out") {
    const source = item.answerTo ? (item.failed ? "error" : "answer") : item.by ? `by ${shortName(item.by.function)}` : "@connections";
    line.append(chip(item.connection), el("span", { className: "pill" }, source), el("span", { className: "text" }, oneLine(item.text.text)), outcome(bytes(item.text.size)));
    if (open) {
      if (item.answerTo?.why) detail.append(whyBox(item.answerTo.why));
      detail.append(el("div", {}, el("h3", {}, `Frame to the client, ${bytes(item.text.size)}`), el("pre", {}, shown(item.text))),
        facts([["Connection", item.connection], ["Sent by", item.answerTo ? `the gateway, in answer to the route ${item.answerTo.route || "that none takes"}` : item.by ? item.by.function : "a caller of @connections that is no function"]]),
        el("div", { className: "actions" }, copyButton(() => item.text.text), filterButton(item)));
      if (item.by) detail.append(invocationCard(item.by));
    }
  } else if (item.kind === "opened" || item.kind === "closed" || item.kind === "refused") {
    const said = item.kind === "opened" ? "connected" : item.kind === "closed"
      ? `closed ${item.byGateway ? "by the gateway" : "by the client"}: ${item.code} ${item.reason || CLOSE_CODES[item.code] || ""}`
      : `refused: ${item.status} ${item.message}`;
    const key = item.kind === "closed" ? "$disconnect" : "$connect";
    line.append(chip(item.connection), route(key), words(said), outcome(...ran, item.failed ? el("span", { className: "bad" }, " ✕") : ""));
    if (open) {
      if (why) detail.append(whyBox(why));
      detail.append(facts([["Connection", item.connection], ["Stage", `${item.api}/${item.stage}`], ["Address", item.sourceIp], ["Client", item.userAgent],
        ["Code", item.code && `${item.code} ${CLOSE_CODES[item.code] || ""}`], ["Reason", item.reason]]));
      if (item.connection) detail.append(el("div", { className: "actions" }, filterButton(item)));
    }
  } else if (item.kind === "direct") {
    line.append(el("span", {}), el("span", { className: "pill" }, "Invoke"), words(`${shortName(item.function)} was invoked`), outcome(...ran, item.failed ? el("span", { className: "bad" }, " ✕") : ""));
  } else {
    line.append(item.by?.item?.connection ? chip(item.by.item.connection) : el("span", {}), el("span", { className: "pill" }, shortName(item.function)),
      el("span", { className: "text" }, oneLine(readable(item.text.text).replace(/^[\d:.]+ +/, ""))), outcome(""));
    if (open) detail.append(el("pre", {}, readable(item.text.text)), item.by ? invocationCard(item.by) : "");
  }
  if (open && item.kind !== "out" && item.kind !== "log") {
    for (const one of item.invocations) {
      detail.append(invocationCard(one));
      if (one.posts.length) detail.append(sentBy(one.posts));
    }
    if (item.handled?.answer) detail.append(el("div", {}, el("h3", {}, "Answer to the client"), el("pre", {}, shown(item.handled.answer))));
  }
  return { line, detail: open ? detail : null, classes: `${item.kind}${item.failed ? " failed" : ""}` };
}

function filterButton(item) {
  const set = $("by-connection").value === item.connection;
  return el("button", { type: "button", className: "small", onclick: () => filterBy(set ? "" : item.connection) }, set ? "All connections (f)" : "Only this connection (f)");
}

function filterBy(id) {
  const select = $("by-connection");
  if (id && ![...select.options].some((option) => option.value === id)) select.append(el("option", { value: id }, nameOf(id)));
  select.value = id;
  show("timeline");
  timeline.refilter();
}

function wantedItem(item) {
  const kinds = { in: "show-frames", out: "show-frames", opened: "show-lifecycle", closed: "show-lifecycle", log: "show-logs" };
  if (item.hidden || !ofStack(item)) return false;
  if ($("only-failures").checked) { if (!item.failed) return false; }
  else if (kinds[item.kind] && !$(kinds[item.kind]).checked) return false;
  const only = $("by-connection").value, route = $("by-route").value, text = $("search").value.toLowerCase();
  if (only && item.connection !== only && item.by?.item?.connection !== only) return false;
  if (route && routeOf(item) !== route) return false;
  if (!text) return true;
  const searched = [item.text?.text, item.connection, routeOf(item), item.function, item.reason, item.message, item.userAgent,
    ...item.invocations.flatMap((one) => [one.function, ...one.lines.map((line) => line.text.text)])];
  return searched.some((part) => part && part.toLowerCase().includes(text));
}
const routeOf = (item) => item.kind === "opened" || item.kind === "refused" ? "$connect" : item.kind === "closed" ? "$disconnect"
  : item.kind === "in" ? item.route || "(no route)" : item.route || item.by?.item && routeOf(item.by.item) || "";

let following = true;
const timeline = list($("timeline-rows"), {
  all: () => items, wanted: wantedItem, draw: drawItem, empty: $("timeline-empty"), follow: () => following,
});

function drawInvocation(one, open) {
  const end = one.end, item = one.item;
  const cause = !one.cause ? "Invoke" : item ? routeOf(item) : "…";
  const line = el("div", { className: "line" }, time(one.at), el("span", { className: "sign" }, !end ? "…" : one.failed ? "✕" : "✓"),
    el("span", { className: "name", title: one.function }, shortName(one.function)), el("span", { className: "pill" }, cause),
    el("span", { className: "outcome" }, end ? duration(end.duration) : "running", one.cold ? el("span", { title: "cold start", role: "img", "aria-label": "cold start" }, " ❄") : ""), memory(end));
  const detail = open ? el("div", { className: "detail" }, item?.why ? whyBox(item.why) : null, invocationCard(one),
    one.posts.length ? sentBy(one.posts) : null, facts([["Request id", one.id], ["Function", one.function], ["Version", one.version]])) : null;
  return { line, detail, classes: one.failed ? "failed" : "" };
}
const invocationRows = list($("invocation-rows"), {
  all: () => invocationList, draw: drawInvocation, empty: $("invocations-empty"), follow: () => true,
  wanted: (one) => inStack(stackOfFunction(one.function, one.region)) && (!$("by-function").value || $("by-function").value === one.function)
    && (!$("failed-invocations").checked || one.failed),
});

/** Sends a frame again: as if its client had sent it, or through a chat pane where the connection is closed. */
async function replay(item) {
  try {
    await call("POST", "replay", { seq: item.seq });
    toast("Replayed on the same connection.");
  } catch (error) {
    if (error.status !== 410) throw error;
    const text = isCut(item.text) ? (await call("GET", `events/${item.seq}`)).text.text : item.text.text;
    const pane = panes.find((one) => one.isOn(item.api, item.stage)) || panes.find((one) => !one.socket) || panes[0];
    await pane.connectTo(item.api, item.stage);
    pane.say(text);
    toast(`Its connection is closed: sent through pane ${pane.letter}.`);
  }
}

// ---------------------------------------------------------------------------------------------- chat panes

const panes = [];
/** Panes that have connected and do not know their connection yet. */
let unclaimed = [];
function claim(event) {
  if (event.userAgent !== navigator.userAgent) return;
  const index = unclaimed.findIndex((pane) => pane.api === event.api && pane.stage === event.stage);
  if (index >= 0) { const [pane] = unclaimed.splice(index, 1); pane.connection = event.connection; pane.draw(); timeline.refilter(); }
}

class Pane {
  constructor(letter) {
    this.letter = letter;
    this.history = stored(`said ${letter}`, []);
    this.position = this.history.length;
    const saved = stored(`pane ${letter}`, {});
    this.target = el("select", { "aria-label": `Stage of client ${letter}` });
    this.query = el("input", { value: saved.query || "", placeholder: "token=…", spellcheck: false, "aria-label": `Query string of client ${letter}` });
    this.protocol = el("input", { value: saved.protocol || "", placeholder: "chat, v2", spellcheck: false, "aria-label": `Subprotocols of client ${letter}` });
    this.button = el("button", { type: "button", onclick: () => this.socket ? this.socket.close(1000) : attempt(() => this.connect()) }, "Connect");
    this.said = el("div", { className: "said", role: "log", "aria-label": `Messages of client ${letter}`, tabIndex: 0 });
    this.routes = el("select", { "aria-label": `Insert a message for a route, client ${letter}`, onchange: () => this.insert() });
    this.input = el("textarea", { rows: 1, spellcheck: false, placeholder: "Message, Enter sends", "aria-label": `Message of client ${letter}` });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.send = el("button", { type: "button", className: "main", onclick: () => this.submit() }, "Send");
    this.root = el("div", { className: "pane", id: `pane-${letter}` },
      el("div", { className: "top" }, el("span", { className: "letter" }, letter), this.target, this.button),
      el("details", { open: Boolean(saved.query || saved.protocol) }, el("summary", {}, "Query string, subprotocols"), el("div", {}, el("span", {}, "?"), this.query, el("span", {}, "Protocols"), this.protocol)),
      this.said, el("div", { className: "compose" }, this.routes, this.input, this.send));
    this.target.addEventListener("change", () => { this.keep(); this.fillRoutes(); });
    for (const field of [this.query, this.protocol]) field.addEventListener("change", () => this.keep());
    this.wanted = saved.target || "";
    this.draw();
  }

  keep() { this.wanted = this.target.value; store(`pane ${this.letter}`, { target: this.wanted, query: this.query.value, protocol: this.protocol.value }); }

  /** The stages that a client can connect to. */
  fill() {
    const options = cloud.apis.filter((api) => inStack(api.stack)).flatMap((api) => api.stages.filter((stage) => stage.deployed).map((stage) => [`${api.id}/${stage.name}`, `${api.name} · ${stage.name}`]));
    const same = options.map(([value]) => value).join() === [...this.target.options].map((option) => option.value).join();
    if (!same) {
      this.target.replaceChildren(...(options.length ? options : [["", "no stage is deployed"]]).map(([value, label]) => el("option", { value }, label)));
      if (options.some(([value]) => value === this.wanted)) this.target.value = this.wanted;
    }
    this.fillRoutes();
    this.draw();
  }

  fillRoutes() {
    const [id, name] = this.target.value.split("/");
    const api = cloud.apis.find((one) => one.id === id);
    const routes = api?.stages.find((stage) => stage.name === name)?.routes.map((route) => route.key).filter((key) => key[0] !== "$") || [];
    const wanted = [`${api?.selection}`, ...routes].join();
    if (this.routed === wanted) return;
    this.routed = wanted;
    this.selection = api?.selection || "";
    this.routes.replaceChildren(el("option", { value: "" }, "Insert a message for a route…"), ...routes.map((key) => el("option", { value: key }, key)));
    this.routes.hidden = !routes.length;
  }

  /** Writes a message that selects the route, where the API's expression is a member of the body. */
  insert() {
    const key = this.routes.value;
    this.routes.value = "";
    const path = /^\$\{?request\.body\.([\w.]+)\}?$/.exec(this.selection)?.[1];
    if (!path) { toast(`The API selects routes by ${this.selection}.`); return; }
    const said = this.history.findLast((text) => { try { return path.split(".").reduce((value, name) => value[name], JSON.parse(text)) === key; } catch { return false; } });
    const message = path.split(".").reduceRight((value, name) => ({ [name]: value }), key);
    this.input.value = said || JSON.stringify(path.includes(".") ? message : { ...message, message: "hello" });
    this.input.focus();
  }

  isOn(api, stage) { return this.socket?.readyState === 1 && this.api === api && this.stage === stage; }

  async connectTo(api, stage) {
    if (this.isOn(api, stage)) return;
    if (this.socket) this.socket.close(1000);
    if (![...this.target.options].some((option) => option.value === `${api}/${stage}`)) throw new Error("The API or the stage of this frame is gone.");
    this.target.value = `${api}/${stage}`;
    await this.connect();
  }

  connect() {
    if (!this.target.value) throw new Error("No stage is deployed: run `wschat up --local`.");
    this.keep();
    [this.api, this.stage] = this.target.value.split("/");
    const query = this.query.value.replace(/^\?/, "");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const protocols = this.protocol.value.split(",").map((one) => one.trim()).filter(Boolean);
    const address = `${scheme}://${location.host}/${encodeURIComponent(this.api)}/${encodeURIComponent(this.stage)}${query ? `?${query}` : ""}`;
    const socket = protocols.length ? new WebSocket(address, protocols) : new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.connection = null;
    unclaimed.push(this);
    this.draw();
    return new Promise((resolve, reject) => {
      let opened = false;
      socket.onopen = () => { opened = true; this.note(`connected${socket.protocol ? ` with ${socket.protocol}` : ""}`); this.draw(); resolve(); };
      socket.onmessage = ({ data }) => {
        const text = typeof data === "string" ? data : `${data.byteLength} bytes, binary`;
        this.bubble(text, /^\{"message":\s*"(Internal server error|Forbidden|Endpoint request timed out|Too Many Requests)"/.test(text) ? "error" : "");
      };
      socket.onclose = ({ code, reason }) => {
        unclaimed = unclaimed.filter((pane) => pane !== this);
        if (this.socket === socket) this.socket = null;
        if (opened) this.note(`closed: ${code} ${reason || CLOSE_CODES[code] || ""}`, code !== 1000 && code !== 1005);
        else { this.note("refused: the timeline says why", true); reject(new Error(`Client ${this.letter} was refused: the timeline says why.`)); }
        this.draw();
      };
    });
  }

  draw() {
    const state = this.socket?.readyState;
    this.button.textContent = state === 1 ? "Disconnect" : state === 0 ? "Cancel" : "Connect";
    this.button.className = this.socket ? "" : "main";
    this.button.disabled = !this.socket && !this.target.value;
    this.send.disabled = state !== 1;
    this.root.classList.toggle("open", state === 1);
    for (const field of [this.target, this.query, this.protocol]) field.disabled = Boolean(this.socket);
    this.root.querySelector(".letter").title = this.connection || "";
  }

  line(element) {
    this.said.append(element);
    while (this.said.childElementCount > 300) this.said.firstElementChild.remove();
    this.said.scrollTop = this.said.scrollHeight;
  }
  note(text, bad) { this.line(el("div", { className: bad ? "event bad" : "event" }, text)); }
  bubble(text, kind) { this.line(el("div", { className: `bubble ${text ? kind : "none"}`, title: timeOf(Date.now()).join("") }, text ? pretty(text) : "empty frame")); }

  say(text) {
    this.socket.send(text);
    this.line(el("div", { className: "bubble mine", title: timeOf(Date.now()).join("") }, text));
  }

  submit() {
    const text = this.input.value;
    if (!text) return;
    if (this.socket?.readyState !== 1) { toast(`Client ${this.letter} is not connected.`); return; }
    this.say(text);
    this.input.value = "";
    if (this.history.at(-1) !== text) this.history.push(text);
    this.history = this.history.slice(-100);
    this.position = this.history.length;
    store(`said ${this.letter}`, this.history);
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.submit(); return; }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || this.input.value.includes("\n") || !this.history.length) return;
    event.preventDefault();
    this.position = Math.min(Math.max(this.position + step, 0), this.history.length);
    this.input.value = this.history[this.position] || "";
  }
}

// ---------------------------------------------------------------------------------------------- rows of tables

/** DynamoDB's JSON as plain JSON; undefined where plain JSON cannot hold it. */
function plainOf(value) {
  const [[kind, inner]] = Object.entries(value);
  switch (kind) {
    case "S": return inner;
    case "BOOL": return inner;
    case "NULL": return null;
    case "N": { const number = Number(inner); return String(number) === inner ? number : undefined; }
    case "L": { const all = inner.map(plainOf); return all.includes(undefined) ? undefined : all; }
    case "M": return plainRow(inner);
    default: return undefined;
  }
}
function plainRow(row) {
  const plain = {};
  for (const [name, value] of Object.entries(row)) {
    const inner = plainOf(value);
    if (inner === undefined) return undefined;
    Object.defineProperty(plain, name, { value: inner, enumerable: true, writable: true, configurable: true });
  }
  return plain;
}
function typedOf(value) {
  if (typeof value === "string") return { S: value };
  if (typeof value === "number") return { N: String(value) };
  if (typeof value === "boolean") return { BOOL: value };
  if (value === null) return { NULL: true };
  if (Array.isArray(value)) return { L: value.map(typedOf) };
  return { M: typedRow(value) };
}
const typedRow = (row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, typedOf(value)]));
function briefly(value) {
  if (value === undefined) return "";
  const [[kind, inner]] = Object.entries(value);
  if (kind === "S" || kind === "N") return inner;
  if (kind === "BOOL") return String(inner);
  if (kind === "NULL") return "null";
  if (kind === "SS" || kind === "NS") return `{${inner.join(", ")}}`;
  const plain = plainOf(value);
  return plain === undefined ? JSON.stringify(inner) : JSON.stringify(plain);
}

const tables = {
  rows: [], start: null, next: null, editing: null, isNew: false, timer: null,
  /** Whether the editor shows DynamoDB's JSON, and whether the user has chosen that. */
  typed: false, preferTyped: false,

  get table() { return cloud.tables.find((one) => `${one.region}/${one.name}` === $("table").value); },
  path(table) { return `tables/${encodeURIComponent(table.region)}/${encodeURIComponent(table.name)}`; },

  fill() {
    const wanted = cloud.tables.filter((one) => inStack(one.stack));
    const values = wanted.map((one) => `${one.region}/${one.name}`);
    const before = $("table").value;
    if (values.join() !== [...$("table").options].map((option) => option.value).join()) {
      $("table").replaceChildren(...wanted.map((one, index) => el("option", { value: values[index], title: one.name }, one.logicalId ? `${one.logicalId} · ${one.name}` : one.name)));
      if (values.includes(before)) $("table").value = before;
      else { this.close(); this.start = null; this.load(); }
    }
    $("table").disabled = !values.length;
    $("row-new").disabled = $("rows-refresh").disabled = !values.length;
  },

  load() {
    const table = this.table;
    if (!table) { this.rows = []; this.next = null; this.draw(); return Promise.resolve(); }
    const query = `?limit=50${this.start ? `&start=${encodeURIComponent(JSON.stringify(this.start))}` : ""}`;
    return attempt(async () => {
      const page = await call("GET", this.path(table) + query);
      if (this.table !== table && this.table?.name !== table.name) return;
      this.rows = page.rows;
      this.next = page.next;
      this.draw();
    });
  },

  /** An invocation has ended: it may have changed rows. */
  changed() {
    if (tab !== "tables" || !$("rows-auto").checked || this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.load(); }, 150);
  },

  draw() {
    const table = this.table, keys = table ? table.keys.map((key) => key.name) : [];
    const others = [...new Set(this.rows.flatMap(Object.keys))].filter((name) => !keys.includes(name)).sort();
    const columns = [...keys, ...others].slice(0, 30);
    $("row-grid").tHead.replaceChildren(el("tr", {}, columns.map((name) => el("th", { className: keys.includes(name) ? "key" : "" }, name))));
    const editing = this.editing && !this.isNew ? this.keyText(this.editing) : null;
    $("row-grid").tBodies[0].replaceChildren(...this.rows.map((row) => el("tr", {
      tabIndex: 0, "aria-selected": String(editing !== null && this.keyText(row) === editing),
      onclick: () => this.edit(row), onkeydown: (event) => this.key(event, row),
    }, columns.map((name) => { const text = briefly(row[name]); return el("td", { className: "mono", title: text.slice(0, 1000) }, text.slice(0, 300)); }))));
    $("rows-empty").textContent = !table ? "There are no tables." : this.rows.length ? "" : "The table has no rows.";
    $("rows-empty").hidden = this.rows.length > 0;
    $("rows-status").textContent = table ? `${this.rows.length} row${this.rows.length === 1 ? "" : "s"}${this.next || this.start ? " on this page" : ""}` : "";
    $("rows-next").disabled = !this.next;
    $("rows-first").disabled = !this.start;
  },

  keyText(row) { return JSON.stringify(this.table?.keys.map((key) => row[key.name])); },

  key(event, row) {
    const at = event.currentTarget, to = { ArrowDown: at.nextElementSibling, j: at.nextElementSibling, ArrowUp: at.previousElementSibling, k: at.previousElementSibling };
    if (event.key in to) { to[event.key]?.focus(); event.preventDefault(); }
    else if (event.key === "Enter" || event.key === " ") { this.edit(row); $("editor-text").focus(); event.preventDefault(); }
    else if (event.key === "Delete") { this.edit(row); this.remove(); }
    else return;
    event.stopPropagation();
  },

  edit(row) { this.editing = row; this.isNew = false; this.open(row); this.draw(); },

  create() {
    const row = Object.fromEntries(this.table.keys.map(({ name, type }) => [name, { [type]: type === "N" ? "0" : "" }]));
    this.editing = row;
    this.isNew = true;
    this.open(row);
    this.draw();
    $("editor-text").focus();
  },

  open(row) {
    const plain = plainRow(row);
    const [plainChoice, typedChoice] = $("editor").elements.form;
    plainChoice.disabled = plain === undefined;
    this.typed = this.preferTyped || plain === undefined;
    (this.typed ? typedChoice : plainChoice).checked = true;
    $("editor-note").hidden = plain !== undefined;
    $("editor-note").textContent = "This row has a set, binary data or a number that plain JSON does not hold: it is shown typed.";
    $("editor-title").textContent = this.isNew ? "New row" : "Row";
    $("editor-delete").hidden = this.isNew;
    this.problem("");
    $("editor-text").value = JSON.stringify(this.typed ? row : plain, null, 2);
    $("editor").hidden = false;
  },

  /** The text as a row in DynamoDB's JSON. */
  written() {
    const value = JSON.parse($("editor-text").value);
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("A row is a JSON object.");
    return this.typed ? value : typedRow(value);
  },

  switchForm() {
    const typed = $("editor").elements.form.value === "typed";
    if (typed === this.typed) return;
    try {
      const row = this.written();
      const plain = plainRow(row);
      if (!typed && plain === undefined) throw new Error("Plain JSON does not hold this row: it has a set, binary data or a long number.");
      $("editor-text").value = JSON.stringify(typed ? row : plain, null, 2);
      this.typed = this.preferTyped = typed;
      this.problem("");
    } catch (error) {
      $("editor").elements.form.value = this.typed ? "typed" : "plain";
      this.problem(error.message);
    }
  },

  problem(text) { $("editor-problem").textContent = text; $("editor-problem").hidden = !text; },

  async save() {
    this.problem("");
    try {
      const after = this.written(), table = this.table;
      if (this.isNew) await call("POST", this.path(table), { after });
      else await call("PUT", this.path(table), { before: this.editing, after });
      this.editing = after;
      this.isNew = false;
      toast("Saved.");
      await this.load();
      this.open(after);
      this.draw();
    } catch (error) { this.problem(error.message); }
  },

  async remove() {
    const row = this.editing;
    const key = JSON.stringify(Object.fromEntries(this.table.keys.map(({ name }) => [name, briefly(row[name])])), null, 2);
    if (!await confirmed("Delete this row?", key)) return;
    try {
      await call("DELETE", this.path(this.table), { before: row });
      this.close();
      toast("Deleted.");
      await this.load();
    } catch (error) { this.problem(error.message); }
  },

  close() { this.editing = null; $("editor").hidden = true; this.draw(); },
};

function confirmed(title, text) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm").returnValue = "no";
  $("confirm").showModal();
  return new Promise((resolve) => $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true }));
}

// ---------------------------------------------------------------------------------------------- connections, resources

function drawConnections() {
  const open = cloud.connections.filter((one) => inStack(stackOfApi(one.api)));
  $("open-count").textContent = open.length || "";
  $("connections-empty").hidden = open.length > 0;
  $("connection-rows").replaceChildren(...open.map((one) => {
    const seen = connections.get(one.id);
    const api = cloud.apis.find((api) => api.id === one.api);
    return el("tr", {}, el("td", {}, chip(one.id), " ", el("span", { className: "mono quiet" }, one.id)), el("td", {}, `${api ? api.name : one.api} · ${one.stage}`),
      el("td", {}, timeOf(one.connectedAt)[0]), el("td", {}, ago(one.lastActiveAt)), el("td", {}, seen ? `${seen.received} / ${seen.sent}` : "–"),
      el("td", {}, el("button", { type: "button", className: "small", onclick: () => filterBy(one.id) }, "Timeline"), " ",
        el("button", { type: "button", className: "small", onclick: () => attempt(async () => { await call("DELETE", `connections/${encodeURIComponent(one.id)}`); refresh(); }) }, "Close")),
      el("td", { title: one.userAgent || "" }, one.sourceIp, " ", el("span", { className: "quiet" }, one.userAgent || "")));
  }));
}

const grid = (head, rows) => el("div", { className: "box" }, el("table", { className: "grid" }, el("thead", {}, el("tr", {}, head.map((name) => el("th", {}, name)))),
  el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", { title: typeof cell === "string" ? cell : undefined }, cell)))))));

let drawnResources = "";
function drawResources() {
  const kinds = ["apis", "functions", "tables", "roles", "logGroups"];
  const text = JSON.stringify([$("stack").value, ...kinds.map((kind) => cloud[kind])]);
  if (text === drawnResources) return;
  drawnResources = text;
  const owners = [...new Set(kinds.flatMap((kind) => cloud[kind]).filter((one) => inStack(one.stack)).map((one) => one.stack ?? ""))].sort((a, b) => (a === "") - (b === "") || a.localeCompare(b));
  const of = (kind, owner) => cloud[kind].filter((one) => (one.stack ?? "") === owner);
  $("resources").replaceChildren(...owners.map((owner) => {
    const apis = of("apis", owner), functions = of("functions", owner), tableList = of("tables", owner), roles = of("roles", owner), groups = of("logGroups", owner);
    const logical = (one) => el("strong", {}, one.logicalId || "–");
    const section = el("div", { className: "stack" }, el("h2", {}, owner || "No stack", owner ? null : el("span", { className: "quiet" }, "resources without wschat's tags")));
    for (const api of apis) for (const stage of api.stages) {
      section.append(el("h3", {}, `API ${api.logicalId || api.name} · stage ${stage.name}`), el("div", { className: "box" },
        el("div", { className: "address" }, el("code", {}, stage.url), copyButton(() => stage.url), stage.deployed ? null : el("span", { className: "bad" }, "no deployment")),
        el("table", { className: "grid" }, el("thead", {}, el("tr", {}, ["Route", "Function", "Authorizer", "Route response", "Timeout"].map((name) => el("th", {}, name)))),
          el("tbody", {}, stage.routes.map((route) => el("tr", {}, el("td", {}, el("strong", {}, route.key)), el("td", { title: route.function || "" }, route.function ? shortName(route.function) : route.integration || "–"),
            el("td", {}, route.authorizer || "–"), el("td", {}, route.answers ? "yes" : "–"), el("td", {}, route.timeout ? `${route.timeout / 1000} s` : "–")))))));
    }
    if (functions.length) section.append(el("h3", {}, "Functions"), grid(["Name", "Runtime", "Handler", "Memory", "Timeout", "Code", "Variables", "Physical name"], functions.map((one) =>
      [logical(one), one.runtime, one.handler, `${one.memory} MB`, `${one.timeout} s`, bytes(one.codeSize), one.variables.join(", ") || "–",
        [one.name, ...Object.entries(one.aliases).map(([alias, version]) => `${alias} is version ${version}`), ...(one.versions.length ? [`${one.versions.length} versions`] : [])].join(" · ")])));
    if (tableList.length) section.append(el("h3", {}, "Tables"), grid(["Name", "Key", "Rows", "Size", "Indexes", "Stream", "State", "Physical name"], tableList.map((one) =>
      [logical(one), one.keys.map((key) => `${key.name} (${key.type})`).join(", "), String(one.items ?? "–"), bytes(one.bytes || 0), one.indexes.join(", ") || "–", one.stream || "–", one.status,
        el("button", { type: "button", className: "small", onclick: () => { $("table").value = `${one.region}/${one.name}`; tables.start = null; tables.close(); show("tables"); } }, one.name)])));
    if (roles.length) section.append(el("h3", {}, "Roles"), grid(["Name", "Policies", "Physical name"], roles.map((one) => [logical(one), [...one.inline, ...one.attached.map((arn) => arn.split("/").pop())].join(", ") || "–", one.name])));
    if (groups.length) section.append(el("h3", {}, "Log groups"), grid(["Name", "Kept"], groups.map((one) => [one.name, one.retentionDays ? `${one.retentionDays} days` : "for ever"])));
    return section;
  }), ...(owners.length ? [] : [el("p", { className: "empty" }, "Nothing is deployed here: run `wschat up --local`.")]));
}

// ---------------------------------------------------------------------------------------------- the page

let tab = "timeline";
const narrow = matchMedia("(max-width: 1000px)");

function show(wanted) {
  if (wanted === "chat" && !narrow.matches) { panes[0].input.focus(); return; }
  tab = wanted;
  document.body.dataset.tab = tab;
  store("tab", tab);
  for (const button of document.querySelectorAll("[role=tab]")) {
    const selected = button.dataset.tab === tab;
    button.setAttribute("aria-selected", selected);
    button.tabIndex = selected ? 0 : -1;
    if (button.dataset.tab !== "chat") $(button.dataset.tab).hidden = !selected;
  }
  if (tab === "tables") tables.load();
  if (tab === "timeline") timeline.refilter();
  if (tab === "connections" || tab === "resources") refresh();
}

function fillFilters() {
  const choose = (select, first, options) => {
    const before = select.value;
    if ([first, ...options.map(([value, label]) => value + label)].join() === select.filled) return;
    select.filled = [first, ...options.map(([value, label]) => value + label)].join();
    select.replaceChildren(el("option", { value: "" }, first), ...options.map(([value, label]) => el("option", { value }, label)));
    if (options.some(([value]) => value === before)) select.value = before;
    else if (before) { select.value = ""; timeline.refilter(); invocationRows.refilter(); }
  };
  choose($("stack"), "All", cloud.stacks.map(({ name, region }) => [name, cloud.stacks.filter((one) => one.name === name).length > 1 ? `${name} (${region})` : name]));
  const routes = new Set(cloud.apis.filter((api) => inStack(api.stack)).flatMap((api) => api.stages.flatMap((stage) => stage.routes.map((route) => route.key))));
  for (const item of items) { const route = routeOf(item); if (route) routes.add(route); }
  choose($("by-route"), "Every route", [...routes].sort().map((key) => [key, key]));
  const seen = [...connections.values()].slice(-60).reverse();
  const label = (one) => { const pane = panes.find((pane) => pane.connection === one.id); return `${pane ? `${pane.letter} · ` : ""}${nameOf(one.id)}${one.open === false ? " (closed)" : ""}`; };
  choose($("by-connection"), "Every connection", seen.filter((one) => one.id).map((one) => [one.id, label(one)]));
  choose($("by-function"), "Every function", cloud.functions.filter((one) => inStack(one.stack)).map((one) => [one.name, one.logicalId || one.name]));
}

let refreshing = null, refreshAgain = false;
/** Loads the overview; not twice at a time. */
function refresh() {
  if (refreshing) { refreshAgain = true; return refreshing; }
  refreshing = (async () => {
    try {
      const before = JSON.stringify([cloud.apis, cloud.functions]);
      cloud = await call("GET", "state");
      for (const one of cloud.connections) Object.assign(connection(one.id, one.api, one.stage), { open: true, since: one.connectedAt });
      fillFilters();
      for (const pane of panes) pane.fill();
      tables.fill();
      drawConnections();
      if (tab === "resources") drawResources();
      if (before !== JSON.stringify([cloud.apis, cloud.functions])) { timeline.refilter(); invocationRows.refilter(); }
    } catch { /* the feed's state says that the local cloud is away */ }
    refreshing = null;
    if (refreshAgain) { refreshAgain = false; refresh(); }
  })();
  return refreshing;
}

let filterTimer = null, connectionsChanged = false;
function listen() {
  const feed = new EventSource(`${API}events`);
  const live = (on, text) => { $("live").classList.toggle("on", on); $("live").textContent = text; };
  feed.addEventListener("hello", ({ data }) => {
    const told = JSON.parse(data).epoch;
    if (epoch && told !== epoch) forget();
    epoch = told;
    live(true, "live");
    refresh();
  });
  feed.onmessage = ({ data }) => {
    const { events, missed } = JSON.parse(data);
    if (missed) { $("missed").hidden = false; $("missed").textContent = `${missed} older events are not kept any more.`; }
    for (const event of events) {
      take(event);
      if (event.type === "opened" || event.type === "closed") connectionsChanged = true;
    }
    if (!filterTimer) filterTimer = setTimeout(() => {
      filterTimer = null;
      fillFilters();
      sumInvocations();
      if (connectionsChanged || tab === "connections") { connectionsChanged = false; refresh(); }
    }, 200);
  };
  feed.onerror = () => {
    live(false, "the local cloud is away");
    if (feed.readyState === EventSource.CLOSED) setTimeout(listen, 1500);
  };
}

function sumInvocations() {
  const ended = invocationList.filter((one) => one.end);
  const failed = ended.filter((one) => one.failed).length;
  const warm = ended.filter((one) => !one.cold).map((one) => one.end.duration).sort((a, b) => a - b);
  $("invocation-sum").textContent = ended.length ? `${ended.length} ran, ${failed} failed${warm.length ? `, half of the warm ones within ${duration(warm[Math.floor((warm.length - 1) / 2)])}` : ""}` : "";
}

function theme(next) {
  const order = ["", "light", "dark"];
  let kept = "";
  try { kept = localStorage.getItem("wschat-theme") || ""; } catch { /* forbidden: as the system */ }
  if (next) kept = order[(order.indexOf(kept) + 1) % order.length];
  try { localStorage.setItem("wschat-theme", kept); } catch { /* forbidden: for this page only */ }
  if (kept) document.documentElement.dataset.theme = kept;
  else delete document.documentElement.dataset.theme;
  $("theme").textContent = { "": "Auto", light: "Light", dark: "Dark" }[kept];
}

function start() {
  theme(false);
  for (const letter of ["A", "B"]) { const pane = new Pane(letter); panes.push(pane); $("chat").append(pane.root); }
  for (const button of document.querySelectorAll("[role=tab]")) button.addEventListener("click", () => show(button.dataset.tab));
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const shown = TABS.filter((name) => name !== "chat" || narrow.matches);
    show(shown[(shown.indexOf(tab) + step + shown.length) % shown.length]);
    $(`tab-${tab}`).focus();
    event.preventDefault();
  });
  narrow.addEventListener("change", () => { if (tab === "chat") show("timeline"); });
  $("theme").addEventListener("click", () => theme(true));
  $("help").addEventListener("click", () => $("keys").showModal());
  $("stack").addEventListener("change", () => { fillFilters(); for (const pane of panes) pane.fill(); tables.fill(); timeline.refilter(); invocationRows.refilter(); drawConnections(); drawResources(); });
  for (const id of ["by-connection", "by-route", "show-frames", "show-lifecycle", "show-logs", "only-failures"]) $(id).addEventListener("change", () => timeline.refilter());
  $("search").addEventListener("input", () => timeline.refilter());
  for (const id of ["by-function", "failed-invocations"]) $(id).addEventListener("change", () => invocationRows.refilter());
  $("clear").addEventListener("click", () => { for (const item of items) item.hidden = true; $("missed").hidden = true; timeline.refilter(); });
  const follow = (on) => { following = on; $("follow").setAttribute("aria-pressed", on); };
  $("follow").addEventListener("click", () => { follow(!following); if (following) timeline.refilter(); });
  // Who scrolls up wants to read; who is at the end again wants to follow.
  $("timeline-rows").addEventListener("scroll", ({ target }) => follow(target.scrollTop + target.clientHeight > target.scrollHeight - 30), { passive: true });
  $("table").addEventListener("change", () => { tables.start = null; tables.close(); tables.load(); });
  $("rows-refresh").addEventListener("click", () => tables.load());
  $("rows-next").addEventListener("click", () => { tables.start = tables.next; tables.load(); });
  $("rows-first").addEventListener("click", () => { tables.start = null; tables.load(); });
  $("row-new").addEventListener("click", () => tables.create());
  $("editor").addEventListener("submit", (event) => { event.preventDefault(); tables.save(); });
  $("editor-delete").addEventListener("click", () => tables.remove());
  $("editor-close").addEventListener("click", () => tables.close());
  for (const choice of $("editor").elements.form) choice.addEventListener("change", () => tables.switchForm());

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
    if (event.key === "Escape" && typing) { event.target.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const keys = {
      "/": () => { show("timeline"); $("search").focus(); }, "?": () => $("keys").showModal(), t: () => theme(true), c: () => { show("chat"); panes[0].input.focus(); },
      ArrowDown: () => focusList(), ArrowUp: () => focusList(), j: () => focusList(), k: () => focusList(),
    };
    const number = TABS[Number(event.key) - 1];
    if (number) show(number);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
  const focusList = () => ({ timeline: () => timeline.focusLast(), invocations: () => invocationRows.focusLast(), tables: () => $("row-grid").tBodies[0].firstElementChild?.focus() })[tab]?.();

  const kept = stored("tab", "timeline");
  show(TABS.includes(kept) && (kept !== "chat" || narrow.matches) ? kept : "timeline");
  listen();
  setInterval(() => { if (!document.hidden) refresh(); }, 4000);
}

start();
