// Earlier races, kept in this browser alone. Where it keeps nothing (a private window), nothing is
// kept, and nothing else is lost.

const NAME = "frontrunner";
/** Races that are kept. */
const MOST = 30;
/** Of JSON of one race's events, in characters: a longer one is not kept. */
const LARGEST = 8_000_000;
/** Events that are written at a time. */
const PIECE = 500;

let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("heads", { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore("bodies", { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Whether it was kept. `head` is what a list shows; `asked` and `events` are all that it takes to
 * show the race again.
 */
export async function keep(head, asked, events) {
  const text = await asJson(asked, events);
  if (text === null) return false;
  try {
    const stores = (await open()).transaction(["heads", "bodies"], "readwrite");
    const heads = stores.objectStore("heads");
    const id = await done(heads.add(head));
    stores.objectStore("bodies").add({ id, text });
    const ids = await done(heads.getAllKeys());
    for (const old of ids.slice(0, Math.max(0, ids.length - MOST))) {
      heads.delete(old);
      stores.objectStore("bodies").delete(old);
    }
    return true;
  } catch {
    return false;
  }
}

/** In pieces, so that the page goes on meanwhile; null: it is too large. */
async function asJson(asked, events) {
  const pieces = [];
  let length = 0;
  for (let from = 0; from < events.length; from += PIECE) {
    const piece = JSON.stringify(events.slice(from, from + PIECE)).slice(1, -1);
    pieces.push(piece);
    length += piece.length;
    if (length > LARGEST) return null;
    await new Promise((resolve) => setTimeout(resolve));
  }
  return `{"asked":${JSON.stringify(asked)},"events":[${pieces.join(",")}]}`;
}

/** The heads, latest first, each with its `id`. */
export async function heads() {
  try {
    const store = (await open()).transaction("heads").objectStore("heads");
    return (await done(store.getAll())).reverse();
  } catch {
    return [];
  }
}

/** What was kept with a head; null: nothing (any more). */
export async function body(id) {
  try {
    const store = (await open()).transaction("bodies").objectStore("bodies");
    const found = await done(store.get(id));
    return found ? JSON.parse(found.text) : null;
  } catch {
    return null;
  }
}

export async function forgetAll() {
  try {
    const stores = (await open()).transaction(["heads", "bodies"], "readwrite");
    stores.objectStore("heads").clear();
    await done(stores.objectStore("bodies").clear());
  } catch {
    // There is nothing, then.
  }
}
