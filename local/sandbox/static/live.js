// Keeps the parts marked data-live up to date without a reload. Without JavaScript the pages have a refresh link.
const INTERVAL = 1500; // milliseconds
const parts = [...document.querySelectorAll("[data-live][id]")];
const shown = new Map(parts.map((part) => [part.id, part.innerHTML]));

// Replaces only what has changed, to keep the focus and the scroll position.
function update(part, fresh) {
  if (!fresh || fresh.innerHTML === shown.get(part.id)) return;
  shown.set(part.id, fresh.innerHTML);
  const focused = part.contains(document.activeElement) && document.activeElement.id;
  part.replaceChildren(...fresh.childNodes);
  if (focused) document.getElementById(focused)?.focus();
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) update(part, page.getElementById(part.id));
}

async function live() {
  try {
    await refresh();
  } catch {
    // the stack has stopped, or the user is leaving the page
  }
  setTimeout(live, INTERVAL);
}

if (parts.length) setTimeout(live, INTERVAL);
