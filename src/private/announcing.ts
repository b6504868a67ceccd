import type { Log } from "../base/log.js";
import { logResults } from "../mesh/log-results.js";
import type { FromPrivate, FromPublic, NameResult } from "../mesh/messages.js";
import { addressesOf, type NumberedTarget, type TargetBook } from "./target-book.js";

/** Tells every public proxy what is served here, each change of it, and keeps what they say of it. */
export interface Announcing {
  /** To be called once for each address of a public proxy. */
  to(publicProxy: string, address: string): AnnouncedTo;
  /** Targets have come, gone or changed: whoever is attached is told what is new, and then what is over. */
  update(): void;
  list(): AnnouncementStatus[];
  /** Names that at least one public proxy has accepted. */
  readonly accepted: number;
}

/** One public proxy. */
export interface AnnouncedTo {
  /** A session of it takes announcements from now on. */
  open(send: (message: FromPrivate) => void): void;
  /** The session is over, and with it all that was announced. */
  closed(): void;
  heard(message: Extract<FromPublic, { type: "announceResult" }>): void;
  /** There is no such address any more. */
  gone(): void;
}

export interface AnnouncementStatus {
  readonly name: string;
  readonly target: string;
  readonly alpn: readonly string[];
  readonly publicProxy: string;
  readonly address: string;
  /** `pending`: not announced yet, or not answered. `withdrawn`: its target is down. */
  readonly status: NameResult["status"] | "pending" | "withdrawn";
  readonly detail: string;
}

interface Public {
  readonly publicProxy: string;
  readonly address: string;
  send: ((message: FromPrivate) => void) | undefined;
  /** What is announced there, by announcement id. */
  readonly told: Map<number, NumberedTarget>;
  /** By announcement id, then by name. */
  readonly results: Map<number, Map<string, NameResult>>;
}

export interface AnnouncingOptions {
  readonly log: Log;
  readonly book: Pick<TargetBook, "current" | "serving" | "settled">;
}

export function createAnnouncing({ log, book }: AnnouncingOptions): Announcing {
  const publics = new Set<Public>();

  /** What is new first: a name that moves from one target to another is never unannounced. */
  function tell(publicProxy: Public): void {
    const { send, told } = publicProxy;
    if (send === undefined) return;
    for (const target of book.current) {
      const { announcementId, names, alpn, weight, priority } = target;
      const { state } = book.serving(target);
      if (state === "down" && told.has(announcementId)) withdraw(publicProxy, announcementId);
      if (state !== "up") continue;
      const before = told.get(announcementId);
      if (before?.weight === weight && before.priority === priority) continue;
      told.set(announcementId, target);
      send({ type: "announce", announcementId, names, alpn, weight, priority });
    }
    if (!book.settled) return;
    const current = new Set(book.current.map(({ announcementId }) => announcementId));
    for (const announcementId of told.keys()) if (!current.has(announcementId)) withdraw(publicProxy, announcementId);
  }

  function withdraw({ send, told, results }: Public, announcementId: number): void {
    told.delete(announcementId);
    results.delete(announcementId);
    send?.({ type: "withdraw", announcementId });
  }

  /** Keeps, and returns, what is news about names that are announced: anything else could grow without end. */
  function keepResults({ told, results }: Public, announcementId: number, said: readonly NameResult[]): NameResult[] {
    const target = told.get(announcementId);
    if (target === undefined) return [];
    const names = new Set(target.names);
    const known = results.get(announcementId) ?? new Map<string, NameResult>();
    results.set(announcementId, known);
    const news = said.filter(({ name, status }) => names.has(name) && known.get(name)?.status !== status);
    for (const result of news) known.set(result.name, result);
    return news;
  }

  function statusOf({ publicProxy, address, results }: Public, target: NumberedTarget): AnnouncementStatus[] {
    const serving = book.serving(target);
    const known = results.get(target.announcementId);
    const unannounced = serving.state === "up" ? undefined : serving;
    return target.names.map((name) => {
      const result = known?.get(name);
      const status = unannounced?.state === "down" ? "withdrawn" : (result?.status ?? "pending");
      const detail = unannounced?.why ?? result?.detail ?? "";
      return { name, target: addressesOf(target), alpn: target.alpn, publicProxy, address, status, detail };
    });
  }

  return {
    to(publicProxy, address) {
      const one: Public = { publicProxy, address, send: undefined, told: new Map(), results: new Map() };
      publics.add(one);
      return {
        open(send) {
          one.send = send;
          tell(one);
        },
        closed() {
          one.send = undefined;
          one.told.clear();
          one.results.clear();
        },
        heard({ announcementId, results }) {
          logResults(log, { publicProxy, address }, keepResults(one, announcementId, results));
        },
        gone: () => void publics.delete(one),
      };
    },
    update() {
      for (const publicProxy of publics) tell(publicProxy);
    },
    list: () => [...publics].flatMap((one) => book.current.flatMap((target) => statusOf(one, target))),
    get accepted() {
      const all = [...publics].flatMap(({ results }) =>
        [...results.values()].flatMap((byName) => [...byName.values()]),
      );
      return new Set(all.filter(({ status }) => status === "accepted").map(({ name }) => name)).size;
    },
  };
}
