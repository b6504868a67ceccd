import type { Now } from "../base/deadline.js";
import type { Attachment } from "./attachment.js";
import { followPublicName, type PublicName, type PublicNameOptions } from "./public-name.js";

/** A session that is no longer wanted is kept for the clients who are being fetched over it. */
const leaveMs = 3000;

/** A public proxy as the settings name it, at one of its addresses. */
export interface PublicPlace {
  readonly host: string;
  readonly port: number;
  readonly ip: string;
}

/** An attachment, and what whoever opened it keeps of it. */
export interface Attached {
  readonly attachment: Attachment;
  /** Its address is gone: the session, if there is one, is about to end. */
  leaving(): void;
  /** It has ended, and the attachment is no more. */
  gone(): void;
}

/**
 * The attachments to all public proxies: one for each address of each name that the settings give. An address to which
 * several names lead is attached to once, under the first that led there, and stays as long as one of them leads there.
 */
export interface Attachments<A extends Attached> {
  /** Those there are, among them those that end because their address is gone. */
  all(): A[];
  /** Names without an address. */
  missing(): {
    readonly host: string;
    readonly port: number;
    readonly why: string | undefined;
    readonly retryAt: Date | undefined;
  }[];
  /** A session has ended: who stands by for it tries again, and names are looked up. */
  lost(): void;
  /** An attempt failed; where its name has nothing attached, it is looked up. */
  failed(place: PublicPlace): void;
  /** The process, or the network, was away: asks every public proxy at once whether it is there. */
  check(): void;
  /** No more attempts and look-ups; sessions stay until `stop`. */
  stopReconnecting(): void;
  /** Ends every session in order. */
  stop(): Promise<void>;
}

export interface AttachmentsOptions<A> {
  readonly publics: readonly { readonly host: string; readonly port: number }[];
  readonly lookup: PublicNameOptions["lookup"];
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
  readonly open: (place: PublicPlace) => A;
  /** A name has no address. */
  readonly unresolved: (name: { readonly host: string; readonly port: number }, why: string, retryMs: number) => void;
  readonly now: Now;
  readonly lookupIntervalMs?: number;
}

interface Place<A> {
  readonly key: string;
  readonly opened: A;
  leaving: NodeJS.Timeout | undefined;
  ended: boolean;
}

export function createAttachments<A extends Attached>(options: AttachmentsOptions<A>): Attachments<A> {
  const places = new Map<string, Place<A>>();
  let open = true;
  /** Answers may come while the names are still being made. */
  const names: { readonly host: string; readonly port: number; readonly name: PublicName }[] = [];

  /** Attaches to addresses that have appeared, and leaves those that no name leads to any more. */
  function follow(): void {
    if (!open) return;
    const wanted = new Map<string, PublicPlace>();
    for (const { host, port, name } of names) {
      for (const ip of name.ips) {
        const key = keyOf(ip, port);
        if (!wanted.has(key)) wanted.set(key, { host, port, ip });
      }
    }
    for (const place of places.values()) if (!wanted.has(place.key)) leave(place);
    for (const [key, place] of wanted) {
      if (!places.has(key)) places.set(key, { key, opened: options.open(place), leaving: undefined, ended: false });
    }
  }

  /** An address that comes back in the meantime is attached to anew once this is over. */
  function leave(place: Place<A>): void {
    if (place.leaving !== undefined || place.ended) return;
    const { attachment } = place.opened;
    place.opened.leaving();
    attachment.stopReconnecting();
    if (attachment.state.state !== "attached" && attachment.draining.length === 0) return void end(place);
    attachment.send({ type: "leaving" });
    place.leaving = setTimeout(() => void end(place), leaveMs);
  }

  async function end(place: Place<A>): Promise<void> {
    place.ended = true;
    await place.opened.attachment.stop();
    if (places.get(place.key) !== place) return;
    places.delete(place.key);
    place.opened.gone();
    follow();
  }

  const isAttached = (ip: string, port: number) =>
    places.get(keyOf(ip, port))?.opened.attachment.state.state === "attached";
  const refreshAll = () => {
    for (const { name } of names) name.refresh();
  };

  for (const { host, port } of options.publics) {
    const name = followPublicName({
      ...options,
      host,
      inUse: (ip) => isAttached(ip, port),
      changed: follow,
      failed: (why, retryMs) => options.unresolved({ host, port }, why, retryMs),
    });
    names.push({ host, port, name });
  }

  return {
    all: () => [...places.values()].map(({ opened }) => opened),
    missing: () =>
      names
        .filter(({ name }) => name.ips.length === 0)
        .map(({ host, port, name }) => ({ host, port, why: name.missing?.why, retryAt: name.missing?.retryAt })),
    lost() {
      if (!open) return;
      for (const { opened } of places.values()) opened.attachment.wake();
      refreshAll();
    },
    failed({ host, port }) {
      for (const { name, ...named } of names) {
        if (named.host !== host || named.port !== port) continue;
        if (!name.ips.some((ip) => isAttached(ip, port))) name.refresh();
      }
    },
    check() {
      if (!open) return;
      for (const { opened } of places.values()) opened.attachment.check();
      refreshAll();
    },
    stopReconnecting() {
      open = false;
      for (const { name } of names) name.close();
      for (const { opened } of places.values()) opened.attachment.stopReconnecting();
    },
    async stop() {
      open = false;
      for (const { name } of names) name.close();
      for (const { leaving } of places.values()) clearTimeout(leaving);
      await Promise.all([...places.values()].map(({ opened }) => opened.attachment.stop()));
    },
  };
}

function keyOf(ip: string, port: number): string {
  return `${ip} ${port}`;
}
