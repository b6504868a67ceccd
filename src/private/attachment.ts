import type { SecureContext } from "node:tls";
import { type Backoff, fullJitter } from "../base/backoff.js";
import { atMost, monotonic } from "../base/deadline.js";
import { signal } from "../base/signal.js";
import { attach } from "../mesh/client.js";
import type { DialledLink } from "../mesh/link.js";
import type { FromPrivate, FromPublic, PrivateHello, Welcome } from "../mesh/messages.js";

/** A SYN, and two more after one and after three seconds: where nobody has answered those the next attempt is as good. */
const connectTimeoutMs = 3500;
/** TLS handshake of the mesh link. */
const handshakeTimeoutMs = 5000;
/** From the dial to the public proxy's welcome. */
const welcomeTimeoutMs = 10_000;

/** How long an orderly end of a session may take before it is cut. */
const goodbyeMs = 500;

/** How often an address whose public proxy is attached at another one is tried again: it may lead elsewhere by now. */
const standbyMs = 30_000;

/** A public proxy at one of its addresses, as it is right now. */
export type AttachmentState =
  | { readonly state: "connecting" }
  | { readonly state: "attached"; readonly welcome: Welcome; readonly since: Date }
  | { readonly state: "waiting"; readonly why: string; readonly retryAt: Date }
  /** The address leads to a public proxy that is attached at another one. */
  | { readonly state: "standby"; readonly why: string }
  | { readonly state: "stopped" };

export interface AttachmentOptions {
  /** As the settings name it. */
  readonly host: string;
  /** The address to dial, looked up already. */
  readonly ip: string;
  readonly port: number;
  readonly serverName: string;
  readonly context: SecureContext;
  /** Asked before each attempt. */
  readonly hello: () => PrivateHello;
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly keepalive: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly events: AttachmentEvents;
}

export interface AttachmentEvents {
  /** `send` goes to this session as long as it lasts. */
  attached(welcome: Welcome, send: (message: FromPrivate) => void): void;
  /** `welcome` is that of the session in which it came. */
  received(message: Exclude<FromPublic, { type: "welcome" | "ping" | "drain" }>, welcome: Welcome): void;
  /** The public proxy is about to stop: the session stays until its end, and another one is begun at once beside it. */
  draining(welcome: Welcome): void;
  /** The session ended. `welcome` is its own; `duplicate`: because another one of this process took its place. */
  detached(welcome: Welcome, why: string, how?: "duplicate"): void;
  /** An attempt failed before the welcome, or a session ended; the next one starts in `retryMs`. */
  failed(why: string, retryMs: number): void;
}

/** A session whose public proxy is about to stop. */
export interface DrainingSession {
  readonly welcome: Welcome;
  readonly since: Date;
}

/**
 * Keeps one session to one address of a public proxy, for as long as it takes: any outage, any number of times. While a
 * public proxy drains there are two: the old one, and one to whoever answers at its address by then.
 */
export interface Attachment {
  readonly state: AttachmentState;
  readonly draining: readonly DrainingSession[];
  /** To every session that is up. */
  send(message: FromPrivate): void;
  /** Asks at once whether the public proxy is there; where no session is up, tries at once. */
  check(): void;
  /** Tries at once where it stands by for another address. */
  wake(): void;
  /** No further attempts; the sessions stay until `stop`. */
  stopReconnecting(): void;
  /** Ends the sessions in order, and for good; resolves when they have ended. */
  stop(): Promise<void>;
}

interface SessionEnd {
  readonly why: string;
  readonly how: "duplicate" | undefined;
  /** How long it had been up; undefined where it never got its welcome. */
  readonly attachedMs: number | undefined;
  /** It goes on, but its public proxy is about to stop. */
  readonly drains?: true;
}

export function createAttachment(options: AttachmentOptions): Attachment {
  const { events } = options;
  const backoff: Backoff = fullJitter(options.reconnect);
  let state: AttachmentState = { state: "connecting" };
  let link: DialledLink<FromPrivate> | undefined;
  let retryTimer: NodeJS.Timeout | undefined;
  let wanted = true;
  /** Another session was lost while this attempt was under way. */
  let woken = false;
  const aside = new Map<DialledLink<FromPrivate>, DrainingSession & { readonly closed: Promise<void> }>();

  async function attempt(): Promise<void> {
    state = { state: "connecting" };
    woken = false;
    const end = await runSession();
    if (end.drains === true) {
      backoff.reset();
      return attempt();
    }
    // A session that lasted proves the way good; one that was refused at once must not be retried at full speed.
    if (end.attachedMs !== undefined && end.attachedMs >= options.reconnect.maxMs) backoff.reset();
    retry(end);
  }

  function retry({ why, how }: SessionEnd): void {
    if (!wanted) {
      state = { state: "stopped" };
      return;
    }
    if (how === "duplicate" && !woken) {
      state = { state: "standby", why };
      retryTimer = setTimeout(again, standbyMs);
      return;
    }
    const retryMs = backoff.next();
    state = { state: "waiting", why, retryAt: new Date(Date.now() + retryMs) };
    retryTimer = setTimeout(again, retryMs);
    events.failed(why, retryMs);
  }

  function again(): void {
    clearTimeout(retryTimer);
    if (wanted) running = attempt();
  }

  /** Runs one session from dial to its end, or until its public proxy is about to stop. */
  function runSession(): Promise<SessionEnd> {
    return new Promise((resolve) => {
      let welcome: Welcome | undefined;
      let attachedAt = 0;
      const over = signal();
      const stepAside = (old: Welcome) => {
        if (link !== current || !wanted) return;
        link = undefined;
        aside.set(current, { welcome: old, since: new Date(), closed: over.settled });
        // Whoever is told must not find it attached.
        state = { state: "connecting" };
        events.draining(old);
        const attachedMs = monotonic() - attachedAt;
        resolve({ why: "the public proxy drains", how: undefined, attachedMs, drains: true });
      };
      const welcomeTimer = setTimeout(
        () => current.destroy(`no welcome within ${welcomeTimeoutMs} ms`),
        welcomeTimeoutMs,
      );
      const current = attach({
        ...options,
        events: {
          received(message) {
            if (message.type === "ping") return current.send({ type: "pong", nonce: message.nonce });
            if (message.type !== "welcome") {
              if (welcome === undefined) return;
              if (message.type === "drain") stepAside(welcome);
              else events.received(message, welcome);
              return;
            }
            if (welcome !== undefined) return;
            welcome = message.welcome;
            clearTimeout(welcomeTimer);
            attachedAt = monotonic();
            link = current;
            state = { state: "attached", welcome, since: new Date() };
            events.attached(welcome, (reply) => current.send(reply));
          },
          closed(why, how) {
            clearTimeout(welcomeTimer);
            over.settle();
            if (welcome !== undefined && aside.delete(current)) return events.detached(welcome, why, how);
            if (link === current) link = undefined;
            if (welcome === undefined) return resolve({ why, how, attachedMs: undefined });
            const attachedMs = monotonic() - attachedAt;
            // Whoever is told must not find it attached.
            state = { state: "connecting" };
            events.detached(welcome, why, how);
            resolve({ why, how, attachedMs });
          },
        },
        connectTimeoutMs,
        handshakeTimeoutMs,
      });
      abortCurrent = () => current.destroy();
      current.send({ type: "hello", hello: options.hello() });
    });
  }

  let abortCurrent: () => void = () => {};
  let running = attempt();

  return {
    get state() {
      return state;
    },
    get draining() {
      return [...aside.values()];
    },
    send(message) {
      link?.send(message);
      for (const each of aside.keys()) each.send(message);
    },
    check() {
      if (state.state === "attached") link?.check(options.keepalive.timeoutMs);
      else if (state.state === "waiting" || state.state === "standby") again();
    },
    wake() {
      woken = true;
      if (state.state === "standby") again();
    },
    stopReconnecting() {
      wanted = false;
      clearTimeout(retryTimer);
    },
    async stop() {
      wanted = false;
      clearTimeout(retryTimer);
      const isUp = link !== undefined || aside.size > 0;
      const ended = Promise.all([running, ...[...aside.values()].map(({ closed }) => closed)]);
      link?.end();
      for (const each of aside.keys()) each.end();
      await atMost(ended, isUp ? goodbyeMs : 0);
      for (const each of [...aside.keys()]) each.destroy();
      abortCurrent();
      await running;
      state = { state: "stopped" };
    },
  };
}
