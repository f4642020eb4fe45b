// The websocket of one race. If it drops, the events that were missed are asked for on a new one.

const KEY_PROTOCOL = "openai-insecure-api-key.";
const LAST = new Set(["response.completed", "response.incomplete", "response.failed"]);
/** Milliseconds between two questions for the result of a race whose events were missed. */
const LOOK = 500;
/** Milliseconds before each attempt to come back. */
const PAUSES = [0, 250, 500, 1000, 2000, 4000, 4000, 4000, 4000];

export class Connection {
  #address;
  #key;
  #listener;
  #request = null;
  #socket = null;
  #responseId = null;
  #last = -1; // number of the last event
  #cancelled = false;
  #done = false;
  #waits = false; // for the result alone
  #attempts = 0;
  #timer = null;

  /**
   * `listener` has `event(event)`, `refused(error)` for an `error` event of the server,
   * `unreachable(begun)` when there is no way (back) to it, `away(back)` when the socket dropped
   * (false) and when it is there again (true), and `missed()` when the events that were missed are
   * not kept any more: the next event is then the last one.
   */
  constructor(address, key, listener) {
    this.#address = address;
    this.#key = key;
    this.#listener = listener;
  }

  start(request) {
    this.#request = request;
    this.#open();
  }

  /** End the race. Its last event still comes. */
  cancel() {
    this.#cancelled = true;
    if (this.#waits) fetch(`${this.#overHttp()}/cancel`, this.#asking("POST")).catch(() => {});
    else if (this.#responseId !== null) this.#sendCancel();
  }

  /** The page is left: nobody will see the end of the race. */
  leave() {
    if (this.#done && !this.#waits) return;
    this.cancel();
    this.#waits = false;
    this.#finish();
  }

  #open() {
    const protocols = this.#key ? ["frontrunner", KEY_PROTOCOL + this.#key] : ["frontrunner"];
    try {
      this.#socket = new WebSocket(this.#address, protocols);
    } catch {
      this.#finish();
      this.#listener.refused({
        code: "unsendable_key",
        message: "This API key has characters that a browser cannot send.",
      });
      return;
    }
    this.#socket.addEventListener("open", () => this.#ask());
    this.#socket.addEventListener("message", (message) => this.#take(JSON.parse(message.data)));
    this.#socket.addEventListener("close", () => this.#closed());
  }

  #ask() {
    if (this.#responseId === null) {
      this.#send({ type: "response.create", ...this.#request });
      return;
    }
    this.#listener.away(true);
    this.#send({
      type: "response.resume",
      response_id: this.#responseId,
      starting_after: this.#last,
    });
    if (this.#cancelled) this.#sendCancel();
  }

  #take(event) {
    if (this.#done) return;
    if (event.type === "error") {
      this.#refuse(event.error);
      return;
    }
    if (event.sequence_number <= this.#last) return;
    this.#last = event.sequence_number;
    this.#attempts = 0;
    if (event.type === "response.created") {
      this.#responseId = event.response.id;
      if (this.#cancelled) this.#sendCancel();
    }
    if (LAST.has(event.type)) this.#finish();
    this.#listener.event(event);
  }

  #refuse(error) {
    if (error.code === "response_cancel_not_active") return; // it ended just before
    this.#finish();
    if (error.code === "events_expired" && this.#responseId !== null) return this.#askForResult(error);
    this.#listener.refused(error);
  }

  /** What came of the race, though not how: the reader was too slow, or away for too long. */
  async #askForResult(error) {
    this.#waits = true;
    this.#listener.missed();
    while (this.#waits) {
      const response = await fetch(this.#overHttp(), this.#asking("GET"))
        .then((reply) => (reply.ok ? reply.json() : null))
        .catch(() => null);
      const ended = response && response.status !== "in_progress" && response.status !== "queued";
      if (response === null || ended) this.#waits = false;
      if (response === null) this.#listener.refused(error);
      if (ended) {
        const type = response.status === "completed" ? "response.completed" : "response.incomplete";
        this.#listener.event({ type, response: { ...response, missed: true } });
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }

  #overHttp() {
    return `${this.#address.replace(/^ws/, "http")}/${this.#responseId}`;
  }

  #asking(method) {
    return { method, keepalive: true, headers: this.#key ? { Authorization: `Bearer ${this.#key}` } : {} };
  }

  #closed() {
    if (this.#done) return;
    const begun = this.#responseId !== null;
    if (!begun || this.#attempts >= PAUSES.length) {
      this.#finish();
      this.#listener.unreachable(begun);
      return;
    }
    this.#listener.away(false);
    this.#timer = setTimeout(() => this.#open(), PAUSES[this.#attempts]);
    this.#attempts += 1;
  }

  #sendCancel() {
    this.#send({ type: "response.cancel", response_id: this.#responseId });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #finish() {
    this.#done = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }
}
