// The page for analysts and reviewers. Text of the archive is only ever set as text, never as markup.

const $ = (id) => document.getElementById(id);
const views = ["enter", "search", "ask", "thread", "reviews"];
let key = sessionStorage.getItem("key") || "";
let me = { name: "", rights: [], labels: [], channels: [], holds: [] };
let before = "search";

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function say(words, bad = false) {
  $("status").textContent = words;
  $("status").className = bad ? "bad" : "soft";
}

function show(view) {
  for (const each of views) $(each).hidden = each !== view;
  for (const button of document.querySelectorAll("[data-view]")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  say("");
  ($(view).querySelector("form") ?? $(view).querySelector("h1")).after($("status"));  // beside what it speaks of
  $("main").focus({ preventScroll: true });
  if (view !== "thread") before = view;
}

async function request(path, body) {
  const reply = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
    cache: "no-store",
  });
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  const failure = new Error(told.error?.message || `the gateway answered ${reply.status}`);
  failure.status = reply.status;
  throw failure;
}

async function attempt(words, work) {
  say(words);
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (failure) {
    if (failure.status === 401) leave();
    say(failure.message, true);
  } finally {
    document.body.removeAttribute("aria-busy");
  }
}

// --- sign in

async function enter() {
  me = await (await request("/v1/me")).json();
  $("who").textContent = me.name;
  $("who").title = me.roles.join(", ");
  $("views").hidden = $("leave").hidden = false;
  for (const button of document.querySelectorAll("[data-right]")) {
    button.hidden = !me.rights.includes(button.dataset.right);
  }
  offerChannels(me.channels.map((name) => ({ name })));
  offer("label", me.labels.map((name) => ({ name })));
  isCounted = false;
  known = {};
  $("holds").hidden = !me.rights.includes("hold");
  for (const former of $("hold").querySelectorAll("option[value^='by ']")) former.remove();
  for (const name of me.holds) $("hold").append(element("option", { value: `by ${name}`, textContent: name }));
  show("search");
  $("question").focus();
}

function leave() {
  sessionStorage.removeItem("key");
  if (key && me.name) location.reload(); // nothing of the archive stays, and nothing that is under way arrives
  key = "";
  show("enter");
  $("key").focus();
}

// --- text with marks

const FILLERS = new Set("and are but did does for from has have her his not our that the their they this was were what when where which who will with you your".split(" "));

function words(question) {
  const all = [...new Set(question.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) || [])];
  const telling = all.filter((word) => !FILLERS.has(word));
  return telling.length ? telling : all;
}

function marked(text, sought) {
  const parts = [];
  let end = 0;
  if (sought.length) {
    const any = sought.map((word) => word.replace(/[^\p{L}\p{N}]/gu, "")).join("|");
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${any})`, "giu");
    for (const match of text.matchAll(pattern)) {
      parts.push(text.slice(end, match.index), element("mark", { textContent: match[0] }));
      end = match.index + match[0].length;
    }
  }
  return [...parts, text.slice(end)];
}

// Offsets of the gateway count code points, as Python does; JavaScript's strings count UTF-16 units.
const points = (text) => Array.from(text);

function markedRange(text, start, end) {
  const all = points(text);
  return [all.slice(0, start).join(""), element("mark", { textContent: all.slice(start, end).join("") }), all.slice(end).join("")];
}

// Signs that hide or turn what stands beside them are shown as such where somebody decides by the text.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

const day = (time) => (time ? time.slice(0, 16).replace("T", " ") : "no date");

// --- limits and their counts

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });
const spoken = { label: (name) => name.replaceAll("_", " "), language: (name) => (name === "und" ? "not known" : LANGUAGES.of(name)) };
const counted = (words, { count }) => (count === undefined ? words : `${words} (${count.toLocaleString("en")})`);
let isCounted = false;

function offerChannels(choices) {
  const chosen = new Set([...$("channels").querySelectorAll("input:checked")].map((box) => box.value));
  const focused = $("channels").contains(document.activeElement) && document.activeElement.value;
  $("channels").replaceChildren(element("legend", { textContent: "Channel" }), ...choices.map((choice) => {
    const box = element("input", { type: "checkbox", value: choice.name, checked: chosen.has(choice.name) });
    return element("label", {}, box, counted(choice.name, choice));
  }));
  if (focused) [...$("channels").querySelectorAll("input")].find((box) => box.value === focused)?.focus();
}

function offer(id, choices) {
  const select = element("select", { id }, element("option", { value: "", textContent: "any" }), ...choices.map((choice) => {
    const words = spoken[id](choice.name);
    const option = element("option", { value: choice.name, textContent: counted(words, choice) });
    option.dataset.words = words;
    return option;
  }));
  const former = $(id);
  const hadFocus = former === document.activeElement;
  former.replaceWith(select);
  select.value = choices.some((choice) => choice.name === former.value) ? former.value : "";
  if (hadFocus) select.focus();
}

// Counted when somebody looks, not at every sign-in: each count reads a column of the whole dataset. A facet
// counts within all limits but its own: so its numbers say what choosing something else would find.
const FACETS = { channel: "channels", language: "languages", label: "labels" };
let known = {}; // every choice that was ever counted: one that no message is left for stays, with 0
let counting = 0;

async function countFacets() {
  if (isCounted) return;
  isCounted = true; // what changes meanwhile asks again
  const turn = ++counting;
  try {
    const { tools } = await (await request("/v1/tools")).json();
    if (!tools.some((tool) => tool.function.name === "statistics")) return; // then there is nothing to count
    const [channels, languages, labels] = await Promise.all(Object.keys(FACETS).map(groups));
    if (turn !== counting) return;
    offerChannels(channels);
    offer("language", languages);
    offer("label", labels);
    $("counted").hidden = false;
    showLimits();
  } catch (failure) {
    isCounted = false;
    throw failure;
  }
}

let soon = 0;
function countAgain() {
  if ($("counted").hidden) return; // never counted yet, or nothing that this reader may count
  isCounted = false;
  clearTimeout(soon);
  if ($("facets").open) soon = setTimeout(() => countFacets().catch((failure) => say(failure.message, true)), 400);
}

async function groups(property) {
  const { [FACETS[property]]: _own, ...others } = filters();
  const { groups: found, groups_left_out: left } = await (await request("/v1/tools/statistics", { group_by: [property], limit: 1000, filters: others })).json();
  const counts = new Map([...(known[property] || [])].map((name) => [name, 0]));
  for (const { by, count } of found) {
    // a set of labels, a|b, counts for each of them: so the filter finds it
    for (const name of by[property]?.split("|") || []) counts.set(name, (counts.get(name) || 0) + count);
  }
  known[property] = [...counts.keys()];
  return [...counts].sort((one, other) => other[1] - one[1]).map(([name, count]) => (left ? { name } : { name, count }));
}

// --- search

function filters() {
  const chosen = {};
  const channels = [...$("channels").querySelectorAll("input:checked")].map((box) => box.value);
  if (channels.length) chosen.channels = channels;
  const hold = $("hold").value;
  if (hold) chosen.held = hold !== "free";
  if (hold.startsWith("by ")) chosen.holds = [hold.slice(3)];
  for (const [id, name] of [["label", "labels"], ["custodian", "custodians"], ["language", "languages"]]) {
    if ($(id).value.trim()) chosen[name] = [$(id).value.trim()];
  }
  for (const id of ["since", "until"]) if ($(id).value) chosen[id] = $(id).value;
  return chosen;
}

const LIMITS = { since: "from", until: "before", language: "language", label: "label", custodian: "custodian", hold: "legal hold" };

// A limit is set in the search and holds for questions, too: it is said wherever it holds.
function limits() {
  const channels = [...$("channels").querySelectorAll("input:checked")].map((box) => box.value);
  const said = channels.length ? [`channel ${channels.join(" or ")}`] : [];
  for (const [id, name] of Object.entries(LIMITS)) {
    const value = $(id).value.trim();
    if (value) said.push(`${name} ${wordsOf($(id)) || value}`);
  }
  return said.length ? `Limited to ${said.join(" · ")}` : "";
}

function wordsOf(field) {
  const option = field.selectedOptions?.[0];
  return option && (option.dataset.words || option.textContent);
}

function showLimits() {
  const said = limits();
  for (const line of document.querySelectorAll(".limits")) {
    line.hidden = !said;
    line.querySelector("span").textContent = said;
  }
}

function clearLimits() {
  for (const box of $("channels").querySelectorAll("input")) box.checked = false;
  for (const id of Object.keys(LIMITS)) $(id).value = "";
  showLimits();
  countAgain();
  $($("ask").hidden ? "question" : "asked").focus();
  say("Nothing is limited now.");
}

async function search() {
  const question = $("question").value.trim();
  const reply = await (await request("/v1/search", { question, k: 20, mode: $("mode").value, filters: filters() })).json();
  const sought = words(question);
  $("hits").replaceChildren(...reply.hits.map((hit) => {
    const row = $("hit").content.cloneNode(true);
    row.querySelector(".subject").textContent = hit.subject || "(no subject)";
    row.querySelector(".facts").textContent = `${hit.channel} · ${day(hit.sent_at)}${hit.similarity === null ? "" : ` · similarity ${hit.similarity.toFixed(2)}`}`;
    row.querySelector(".text").append(...marked(hit.text.length > 400 ? `${hit.text.slice(0, 400)}…` : hit.text, sought));
    row.querySelector("button").addEventListener("click", () => attempt("Opening the thread…", () => thread(hit.thread_id, { message_id: hit.message_id, sought })));
    return row;
  }));
  const order = ["off", "done"].includes(reply.reranking) ? "" : " (the reranker did not answer: in the order of the search alone)";
  say(reply.hits.length ? `${reply.hits.length} passages, best first${order}` : "Nothing found. Try other words, or fewer limits.");
}

// --- threads and messages

function zones(message, cited, sought) {
  const all = points(message.full_text);
  const cuts = message.zones?.length ? message.zones : [{ kind: "body", start: 0, end: all.length }];
  return cuts.map((zone) => {
    const text = all.slice(zone.start, zone.end).join("").trim();
    if (!text) return "";
    if (zone.kind === "body") return element("pre", { className: "body" }, ...(cited ? quoted(text, cited) : marked(text, sought)));
    return element("details", {}, element("summary", { textContent: zone.kind }), element("pre", { textContent: text }));
  });
}

function quoted(text, cited) {
  const place = text.indexOf(cited);
  if (place < 0) return [text];
  return [text.slice(0, place), element("mark", { textContent: cited }), text.slice(place + cited.length)];
}

const PAGE = 100; // messages of a thread that are shown at once

async function thread(id, place) {
  const reply = await (await request(`/v1/threads/${id}?limit=${PAGE}`)).json();
  $("thread-title").textContent = reply.messages[0].subject || "(no subject)";
  $("finding").replaceChildren();
  $("assess").hidden = !me.rights.includes("find");
  $("assess").onclick = () => attempt("Assessing the thread…", () => assess(id));
  $("messages").replaceChildren(...reply.messages.map((message) => card(message, place)));
  show("thread");
  offerOlder(id, reply, place);
  const target = place && $(`m-${place.message_id}`);
  if (target) target.focus();
  else if (place && reply.older) say("What you opened stands further back: show older messages.");
}

function offerOlder(id, reply, place) {
  const shown = $("messages").children.length;
  $("older").hidden = !reply.older;
  $("older").textContent = `Show older messages: ${reply.total - shown} more`;
  $("older").onclick = () => attempt("Fetching older messages…", async () => {
    const more = await (await request(`/v1/threads/${id}?limit=${PAGE}&before=${reply.older}`)).json();
    $("messages").prepend(...more.messages.map((message) => card(message, place)));
    offerOlder(id, more, place);
    const first = $(`m-${more.messages[more.messages.length - 1].message_id}`);
    first.focus(); // the newest of those that came: reading goes on upwards
    say(`${$("messages").children.length} of ${more.total} messages.`);
  });
}

function card(message, place) {
  const isCited = place && message.message_id === place.message_id;
  const cited = isCited && !place.sought ? points(message.text).slice(place.start, place.end).join("") : "";
  const names = (message.attachments || []).map((each) => `${each.name} (${each.content_type})`);
  const shown = element("article", { id: `m-${message.message_id}`, tabIndex: -1 },
    element("h2", { textContent: message.subject || "(no subject)" }),
    element("p", { className: "soft", textContent: `${message.sender || "unknown sender"} → ${(message.recipients || []).join(", ") || "unknown"} · ${day(message.sent_at)} · ${message.channel}${message.label ? ` · ${message.label.replaceAll("_", " ").replaceAll("|", " + ")}` : ""}` }),
    ...zones(message, cited, isCited ? place.sought || [] : []),
    names.length ? element("p", { className: "soft", textContent: `Attachments: ${names.join(", ")}` }) : "",
    me.rights.includes("label") ? verdict(message.message_id) : "");
  shown.dataset.text = message.text || "";
  return shown;
}

async function assess(id) {
  const finding = await (await request(`/v1/threads/${id}/finding`, {})).json();
  const words = { escalate: "Escalate", monitor: "Monitor", none: "Nothing to do", undecided: "Undecided" };
  const percent = (share) => `${Math.round(100 * share)} %`;
  const facts = finding.label ? `${finding.label.replaceAll("_", " ")} ${percent(finding.confidence)} · policy: ${finding.policy} · risk ${percent(finding.risk)}` : `risk ${percent(finding.risk)}`;
  const left = finding.total - finding.examined;
  const read = left ? ` Read in time: ${finding.examined} of ${finding.total} messages; nothing is said of the others.` : "";
  $("finding").replaceChildren(element("article", { className: finding.action },
    element("h2", { textContent: words[finding.action] }),
    element("p", { className: "soft", textContent: `${facts}. By the classifier and the declared policy.${finding.evidence.length ? " Marked below: the sentences without which the probability falls most." : ""}${read}` })));
  for (const span of finding.evidence) {
    const shown = $(`m-${span.message_id}`);
    const text = shown && points(shown.dataset.text).slice(span.start, span.end).join("");
    for (const body of shown ? shown.querySelectorAll("pre.body") : []) mark(body, text);
  }
  say("");
}

function mark(body, text) {
  for (const node of [...body.childNodes]) {
    const place = node.nodeType === Node.TEXT_NODE ? node.data.indexOf(text) : -1;
    if (place < 0) continue;
    node.splitText(place).splitText(text.length);
    node.nextSibling.replaceWith(element("mark", { textContent: text }));
    return;
  }
}

function verdict(message) {
  const first = me.several_labels ? [] : [element("option", { value: "", textContent: "Label…" })];
  const label = element("select", { ariaLabel: "Label", required: true, multiple: me.several_labels, size: me.several_labels ? 4 : 1 }, ...first, ...me.labels.map((name) => element("option", { value: name, textContent: name.replaceAll("_", " ") })));
  const reason = element("input", { placeholder: "Reason", maxLength: 200, required: true, ariaLabel: "Reason" });
  const form = element("form", { className: "verdict-form" }, label, reason, element("button", { className: "verdict", textContent: "Record" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt("Recording…", async () => {
      const chosen = [...label.selectedOptions].map((option) => option.value);
      await request("/v1/feedback", { message_id: message, label: chosen.join("|"), reason: reason.value });
      form.replaceChildren(element("span", { className: "soft", textContent: `Recorded: ${chosen.join(" + ").replaceAll("_", " ")}` }));
      say("Recorded and signed.");
    });
  });
  return form;
}

// --- answers

async function ask() {
  const asked = $("asked").value.trim();
  const within = limits();
  $("answer").replaceChildren();
  const reply = await request("/v1/ask", { question: asked, filters: filters(), stream: true });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    rest += value;
    for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) event(rest.slice(0, end), within);
  }
}

function event(block, within) {
  const name = /^event: (.*)$/m.exec(block)?.[1];
  const content = JSON.parse(/^data: (.*)$/m.exec(block)?.[1] || "{}");
  if (name === "sources") say(content.citations.length ? `Reading ${content.citations.length} sentences…` : "");
  if (name === "error") throw new Error(content.message);
  if (name !== "answer") return;
  say("");
  const places = content.citations.map((citation, number) => {
    const button = element("button", { type: "button", className: "citation plain", textContent: `${number + 1}`, ariaLabel: `Source ${number + 1}` });
    button.addEventListener("click", () => attempt("Opening the source…", async () => {
      const message = await (await request(`/v1/messages/${citation.message_id}`)).json();
      await thread(message.thread_id, citation);
    }));
    return button;
  });
  const how = { generated: "Written by the generator; every sentence was found in its source.", extracted: "Quoted as it stands.", refused: "Nothing in the archive is near enough." };
  $("answer").replaceChildren(
    element("article", {}, element("p", { className: "answer" }, `${content.text} `, ...places), element("p", { className: "soft", textContent: `${how[content.origin]} ${within ? `${within}. ` : ""}On record as ${content.id}.` })));
}

// --- releases

async function reviews() {
  const reply = await (await request("/v1/reviews")).json();
  $("report").hidden = true;
  $("errors").replaceChildren();
  $("releases").replaceChildren(...reply.releases.map((release) => {
    const open = element("button", { type: "button", className: "plain", textContent: "Read the report", hidden: !release.has_report });
    open.addEventListener("click", () => attempt("Opening the report…", async () => {
      const page = await (await request(`/v1/reviews/${release.id}/report`)).text();
      $("report").srcdoc = page;
      $("report").hidden = false;
      $("report").scrollIntoView();
      say("");
    }));
    const read = element("button", { type: "button", className: "plain", textContent: "Read the worst errors", hidden: !release.errors });
    read.addEventListener("click", () => attempt("Reading the worst errors…", () => errors(release.id)));
    return element("article", {},
      element("h2", { textContent: `${release.id} · ${release.status}` }),
      element("p", { textContent: release.headline }),
      element("ul", {}, ...release.reasons.slice(0, 8).map((reason) => element("li", { className: "soft", textContent: reason.replaceAll("_", " ").replace(/(?<![\w.])-(?=[\d.])/g, "−") }))),
      open, " ", read,
      release.status === "pending" ? decide(release) : "");
  }));
  say(reply.releases.length ? "" : "No release was proposed yet.");
}

// What the classifier got most confidently wrong, as far as the reader may see the messages.
async function errors(id) {
  const reply = await (await request(`/v1/reviews/${id}/errors`)).json();
  const name = (label) => label.replaceAll("_", " ").replaceAll("|", " + ");
  $("errors").replaceChildren(element("h2", { textContent: `Worst errors of ${id}`, tabIndex: -1 }), ...reply.errors.map((error) => {
    const rests = error.sentence ? `Without the marked sentence its probability falls by ${error.sentence.fall.toFixed(2)}; words that matter are underlined.` : "No single sentence carries the answer.";
    return element("article", {},
      element("p", { className: "soft", textContent: `${error.critical ? "missed critical class · " : ""}truly ${name(error.label)}, answered ${name(error.predicted)} (${error.confidence.toFixed(3)}) · ${error.channel} · ${day(error.sent_at)}` }),
      element("pre", {}, ...evidence(`${error.subject}\n${error.text}`, error)),
      element("p", { className: "soft", textContent: `${rests}${error.left_out ? ` ${error.left_out.toLocaleString("en")} characters more are not shown.` : ""}` }));
  }));
  $("errors").firstChild.focus();
  const withheld = reply.withheld ? ` ${reply.withheld} more are outside what you may see, or gone.` : "";
  say(`${reply.errors.length} messages.${withheld}`);
}

function evidence(text, { sentence, words }) {
  const all = points(text).map((sign) => (UNSEEN.test(sign) ? "\ufffd" : sign));
  const part = (start, end) => all.slice(start, end).join("");
  if (!sentence) return [part(0)];
  const inside = [];
  let place = sentence.start;
  for (const word of words) {
    inside.push(part(place, word.start), element("u", { textContent: part(word.start, word.end) }));
    place = word.end;
  }
  return [part(0, sentence.start), element("mark", {}, ...inside, part(place, sentence.end)), part(sentence.end)];
}

// What the gate has rejected nobody can approve.
function decide(release) {
  const choices = release.outcome === "reject" ? ["reject"] : ["approve", "reject"];
  return element("div", { className: "soft" }, "Decide:", ...choices.map((choice) => element("code", { textContent: `mailroom review ${choice} ${release.id} --reviewer NAME --reason TEXT` })));
}

// --- events

const on = (id, words, work) => $(id).addEventListener("submit", (submitted) => { submitted.preventDefault(); attempt(words, work); });
on("enter-form", "Checking the key…", async () => { key = $("key").value.trim(); await enter(); sessionStorage.setItem("key", key); $("key").value = ""; });
on("search-form", "Searching…", search);
on("ask-form", "Looking for sources…", ask);
$("facets").addEventListener("input", (changed) => { showLimits(); if (changed.target.id !== "mode") countAgain(); });
$("facets").addEventListener("toggle", () => { if ($("facets").open) attempt("Counting…", async () => { await countFacets(); say(""); }); });
for (const button of document.querySelectorAll(".limits button")) button.addEventListener("click", clearLimits);
$("leave").addEventListener("click", leave);
$("back").addEventListener("click", () => show(before));
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => { show(button.dataset.view); if (button.dataset.view === "reviews") attempt("Reading the decisions…", reviews); });
}

document.addEventListener("keydown", (pressed) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
  if (pressed.key === "Escape") {
    if (!$("thread").hidden) show(before);
    else document.activeElement?.blur();
  }
  if (typing || pressed.ctrlKey || pressed.metaKey || pressed.altKey || $("views").hidden) return;
  if (pressed.key === "/") { pressed.preventDefault(); show("search"); $("question").select(); }
  if (pressed.key === "j" || pressed.key === "k") {
    const stops = [...document.querySelectorAll("main section:not([hidden]) .hit, main section:not([hidden]) article")];
    const place = stops.indexOf(document.activeElement) + (pressed.key === "j" ? 1 : -1);
    const next = stops[Math.max(0, Math.min(stops.length - 1, place))];
    if (next) { if (!next.hasAttribute("tabindex") && next.tagName === "ARTICLE") next.tabIndex = -1; next.focus(); }
  }
});

if (key) attempt("", enter); else $("key").focus();
