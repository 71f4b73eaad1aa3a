// Renews the parts marked data-live without a reload, and shows times in the reader's own zone when asked.
// Without it every page works: reload to see what is new, and times are UTC.
const INTERVAL = 5000; // milliseconds
const ZONE = "zone"; // what localStorage remembers: "local" or nothing

const busy = () => document.hidden || document.querySelector("main details[open], main form input:focus");

function localised(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.dataset.utc ??= time.textContent;
    const local = localStorage.getItem(ZONE) === "local";
    const shown = { dateStyle: "medium", timeStyle: "medium" };
    time.textContent = local ? new Date(time.dateTime).toLocaleString(undefined, shown) : time.dataset.utc;
    time.title = local ? time.dataset.utc : "";
  }
}

async function renew() {
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (!parts.length || busy()) return;
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) replaceIfChanged(part, fresh.getElementById(part.id));
}

const seen = new Map();
function replaceIfChanged(part, fresh) {
  const before = seen.get(part.id) ?? "";
  if (!fresh || fresh.innerHTML === before || part.contains(document.activeElement)) return;
  seen.set(part.id, fresh.innerHTML);
  if (before === "" && !changed(part, fresh)) return;
  const places = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".scroll").forEach((box, n) => (box.scrollLeft = places[n] ?? 0));
  localised(part);
}

const text = (node) => node.textContent.replace(/\s+/g, " ");
const changed = (part, fresh) => localStorage.getItem(ZONE) === "local" || text(part) !== text(fresh);

function zoneButton() {
  const button = document.getElementById("zone");
  if (!button) return;
  button.hidden = false;
  const label = () => (button.textContent = localStorage.getItem(ZONE) === "local" ? "Show UTC" : "Show local time");
  button.addEventListener("click", () => {
    if (localStorage.getItem(ZONE) === "local") localStorage.removeItem(ZONE);
    else localStorage.setItem(ZONE, "local");
    label();
    localised(document);
  });
  label();
}

async function live() {
  try {
    await renew();
  } catch {
    // the console has stopped, or the reader is leaving the page
  }
  setTimeout(live, INTERVAL);
}

zoneButton();
localised(document);
setTimeout(live, INTERVAL);
