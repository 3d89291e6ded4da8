"use strict";

const notice = document.getElementById("notice");

function tell(text) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  notice.replaceChildren(...(text ? [paragraph] : []));
}

async function ask(path, options) {
  const response = await fetch(path, options);
  if (response.status === 503) {
    throw new Error("The server that keeps the sessions does not answer. Nobody is logged out; try again in a moment.");
  }
  if (!response.ok) {
    throw new Error((await response.text()) || `The server answered ${response.status}.`);
  }
  return response;
}

/* Only regions that differ are replaced, and none holds a control, so the focus stays where it is. */
async function refresh() {
  const page = new DOMParser().parseFromString(await (await ask("/live")).text(), "text/html");
  if (page.body.dataset.user !== document.body.dataset.user) {
    /* Signed in or out elsewhere: what is shown here is somebody else's. */
    location.reload();
    return;
  }
  for (const region of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(region.id);
    if (fresh && fresh.innerHTML !== region.innerHTML) {
      region.innerHTML = fresh.innerHTML;
    }
  }
  showTimes();
  showChanges();
}

function showTimes() {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString();
  }
}

/* Names of keys and handles are no secrets, so they may wait in sessionStorage for the page after a rotation. */
function showChanges() {
  const before = JSON.parse(sessionStorage.getItem("watched") || "{}");
  const now = {};
  for (const element of document.querySelectorAll("[data-watch]")) {
    now[element.id] = element.textContent;
    if (before[element.id] !== undefined && before[element.id] !== now[element.id]) {
      element.classList.add("changed");
      element.addEventListener("animationend", () => element.classList.remove("changed"), { once: true });
    }
  }
  sessionStorage.setItem("watched", JSON.stringify({ ...before, ...now }));
}

function countDown() {
  const seconds = document.getElementById("seconds");
  if (!seconds) {
    return;
  }
  const left = Math.max(0, Number(seconds.dataset.seconds) - 1);
  seconds.dataset.seconds = seconds.textContent = left;
  document.querySelector("progress").value = left;
}

function post(path, fields) {
  return ask(path, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(fields) });
}

async function submitQuietly(event) {
  event.preventDefault();
  try {
    await post(event.target.action, new FormData(event.target, event.submitter));
    await refresh();
    tell("");
  } catch (error) {
    tell(error.message);
  }
}

function quantities() {
  const buttons = [...document.querySelectorAll("button[name=item]")];
  return new Map(buttons.map(({ value }) => [value, Number(document.getElementById(`count-${value}`).textContent)]));
}

async function addAll(event) {
  const button = event.currentTarget;
  if (button.getAttribute("aria-busy") === "true") {
    return;
  }
  button.setAttribute("aria-busy", "true");
  try {
    const before = quantities();
    const requests = [...before.keys()].map((item) => post("/cart", { item, hold: "yes" }).then((answer) => answer.json()));
    const spans = await Promise.all(requests);
    await refresh();
    const after = quantities();
    showRace(spans, spans.filter(({ item }) => after.get(item) > before.get(item)).length);
    tell("");
  } catch (error) {
    tell(error.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/* Each write replaces the whole document with what its request had loaded, plus its own item. */
function keptByWholeWrites(spans) {
  const written = [{ at: -Infinity, items: 0 }];
  for (const { started, ended } of [...spans].sort((one, other) => one.ended - other.ended)) {
    const loaded = written.filter(({ at }) => at <= started).at(-1);
    written.push({ at: ended, items: loaded.items + 1 });
  }
  return written.at(-1).items;
}

function showRace(spans, kept) {
  const first = Math.min(...spans.map(({ started }) => started));
  const total = Math.max(...spans.map(({ ended }) => ended)) - first;
  const lanes = [...spans].sort((one, other) => one.started - other.started).map(({ item, started, ended }) => {
    const lane = document.createElement("li");
    const [name, track, bar, took] = ["em", "i", "span", "b"].map((tag) => document.createElement(tag));
    lane.className = `lane ${item}`;
    name.textContent = item;
    took.textContent = `${Math.round(ended - started)} ms`;
    bar.style.left = `${(100 * (started - first)) / total}%`;
    bar.style.width = `${(100 * (ended - started)) / total}%`;
    track.append(bar);
    lane.append(name, track, took);
    return lane;
  });
  document.getElementById("lanes").replaceChildren(...lanes);
  document.getElementById("race").hidden = false;
  document.getElementById("verdict").textContent =
    `${kept} of ${spans.length} kept. A store that writes whole sessions back would have kept ${keptByWholeWrites(spans)} of these.`;
}

for (const form of document.querySelectorAll("form[data-quiet]")) {
  form.addEventListener("submit", submitQuietly);
}
const all = document.getElementById("add-all");
all.hidden = false;
all.addEventListener("click", addAll);
document.getElementById("script-sees").textContent =
  document.cookie.includes("chirp_demo=") ? ", yet scripts can read it" : ": scripts cannot read it";
history.replaceState(null, "", location.pathname + location.hash);
setInterval(countDown, 1000);
refresh().catch((error) => tell(error.message));
