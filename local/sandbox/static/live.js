// Keeps the parts marked data-live up to date without a reload. Without JavaScript the pages have a refresh link.
const EVERY = 1500; // milliseconds
const parts = [...document.querySelectorAll("[data-live][id]")];
const shown = new Map(parts.map((part) => [part.id, part.innerHTML]));

// Only what has changed is replaced, so that nothing moves under a reader's eyes.
function update(part, fresh) {
  if (!fresh || fresh.innerHTML === shown.get(part.id)) return;
  shown.set(part.id, fresh.innerHTML);
  const focused = part.contains(document.activeElement) && document.activeElement.id;
  part.replaceChildren(...fresh.childNodes);
  if (focused) document.getElementById(focused)?.focus();
}

async function look() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) update(part, page.getElementById(part.id));
}

async function live() {
  try {
    await look();
  } catch {
    // the stack is away, or the page is being left
  }
  setTimeout(live, EVERY);
}

if (parts.length) setTimeout(live, EVERY);
