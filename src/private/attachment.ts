import type { SecureContext } from "node:tls";
import { type Backoff, fullJitter } from "../base/backoff.js";
import { atMost, monotonic } from "../base/deadline.js";
import { signal } from "../base/signal.js";
import { attach } from "../mesh/client.js";
import type { MeshLink } from "../mesh/link.js";
import type { FromPrivate, FromPublic, PrivateHello, Welcome } from "../mesh/messages.js";

/** TLS handshake of the mesh link. */
const handshakeTimeoutMs = 5000;
/** From the dial to the public proxy's welcome. */
const welcomeTimeoutMs = 10_000;

/** How long an orderly end of a session may take before it is cut. */
const goodbyeMs = 500;

/** One public proxy as it is right now. */
export type AttachmentState =
  | { readonly state: "connecting" }
  | { readonly state: "attached"; readonly welcome: Welcome; readonly ip: string; readonly since: Date }
  | { readonly state: "waiting"; readonly why: string; readonly retryAt: Date }
  | { readonly state: "stopped" };

export interface AttachmentOptions {
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
  readonly context: SecureContext;
  readonly hello: PrivateHello;
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  /** All addresses of a host; it need not go on once `until` has settled. Never rejects. */
  readonly lookup: (host: string, until: Promise<void>) => Promise<readonly string[]>;
  readonly events: AttachmentEvents;
}

export interface AttachmentEvents {
  /** `send` goes to this session as long as it lasts. */
  attached(welcome: Welcome, ip: string): void;
  received(message: Exclude<FromPublic, { type: "welcome" | "ping" }>): void;
  /** The session ended. `welcome` is its own. */
  detached(welcome: Welcome, why: string): void;
  /** An attempt failed before the welcome; the next one starts in `retryMs`. */
  failed(why: string, retryMs: number): void;
}

/** Keeps one session to one public proxy, for as long as it takes: any outage, any number of times. */
export interface Attachment {
  readonly state: AttachmentState;
  /** Dropped where no session is up. */
  send(message: FromPrivate): void;
  /** No further attempts; the session stays until `stop`. */
  stopReconnecting(): void;
  /** Ends the session in order, and for good; resolves when it has ended. */
  stop(): Promise<void>;
}

export function createAttachment(options: AttachmentOptions): Attachment {
  const { host, events } = options;
  const backoff: Backoff = fullJitter(options.reconnect);
  let state: AttachmentState = { state: "connecting" };
  let link: MeshLink<FromPrivate> | undefined;
  let retryTimer: NodeJS.Timeout | undefined;
  let wanted = true;
  const stopping = signal();

  async function attempt(): Promise<void> {
    state = { state: "connecting" };
    const addresses = await options.lookup(host, stopping.settled);
    let why = `${host} cannot be looked up`;
    for (const ip of addresses) {
      if (!wanted) return;
      const session = await runSession(ip);
      why = session.why;
      if (session.attachedMs === undefined) continue;
      // A session that lasted proves the way good; one that was refused at once must not be retried at full speed.
      if (session.attachedMs >= options.reconnect.maxMs) backoff.reset();
      break;
    }
    retry(why);
  }

  function retry(why: string): void {
    if (!wanted) {
      state = { state: "stopped" };
      return;
    }
    const retryMs = backoff.next();
    state = { state: "waiting", why, retryAt: new Date(Date.now() + retryMs) };
    events.failed(why, retryMs);
    retryTimer = setTimeout(() => {
      running = attempt();
    }, retryMs);
  }

  /** Runs one session from dial to end. `attachedMs` is undefined where it never got its welcome. */
  function runSession(ip: string): Promise<{ why: string; attachedMs: number | undefined }> {
    return new Promise((resolve) => {
      let welcome: Welcome | undefined;
      let attachedAt = 0;
      const welcomeTimer = setTimeout(
        () => current.destroy(`no welcome within ${welcomeTimeoutMs} ms`),
        welcomeTimeoutMs,
      );
      const current = attach({
        ...options,
        ip,
        events: {
          received(message) {
            if (message.type === "ping") return current.send({ type: "pong", nonce: message.nonce });
            if (message.type !== "welcome") {
              if (welcome !== undefined) events.received(message);
              return;
            }
            if (welcome !== undefined) return;
            welcome = message.welcome;
            clearTimeout(welcomeTimer);
            attachedAt = monotonic();
            link = current;
            state = { state: "attached", welcome, ip, since: new Date() };
            events.attached(welcome, ip);
          },
          closed(why) {
            clearTimeout(welcomeTimer);
            if (link === current) link = undefined;
            if (welcome === undefined) return resolve({ why, attachedMs: undefined });
            events.detached(welcome, why);
            resolve({ why, attachedMs: monotonic() - attachedAt });
          },
        },
        handshakeTimeoutMs,
      });
      abortCurrent = () => current.destroy();
      current.send({ type: "hello", hello: options.hello });
    });
  }

  let abortCurrent: () => void = () => {};
  let running = attempt();

  return {
    get state() {
      return state;
    },
    send(message) {
      link?.send(message);
    },
    stopReconnecting() {
      wanted = false;
      clearTimeout(retryTimer);
    },
    async stop() {
      wanted = false;
      stopping.settle();
      clearTimeout(retryTimer);
      link?.end();
      await atMost(running, link === undefined ? 0 : goodbyeMs);
      abortCurrent();
      await running;
      state = { state: "stopped" };
    },
  };
}
