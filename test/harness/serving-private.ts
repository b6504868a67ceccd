import { once } from "node:events";
import type { ExecutionContext } from "ava";
import type { Offer } from "../../src/mesh/messages.js";
import { encodePreface } from "../../src/rendezvous/preface.js";
import { encodeVerdict } from "../../src/rendezvous/verdict.js";
import { serverName, type TestCertificates } from "./certificates.js";
import { tcpClient } from "./clients.js";
import type { RunningPublic } from "./pair.js";
import { type ScriptedPrivate, type Shares, scriptedPrivate } from "./scripted-private.js";

/** `declines` says at once that its target cannot be reached, `silent` says nothing. */
type Manner = "serving" | "declines" | "silent";

/** A private proxy that answers each client with its own name, and ends the connection when the client has ended. */
export interface ServingPrivate {
  readonly name: string;
  /** Offers that it has had. */
  readonly offers: number;
  announce(shares: Shares): void;
  become(manner: Manner): void;
  /** Resolves when the public proxy knows that it is gone. */
  close(): Promise<void>;
}

/** With the identity `private-proxy-1`. Resolves when its name is announced. */
export async function servingPrivate(
  t: ExecutionContext,
  certificates: TestCertificates,
  running: RunningPublic,
  options: { readonly name: string } & Shares,
): Promise<ServingPrivate> {
  const { name, ...shares } = options;
  const attached = await scriptedPrivate(t, certificates, running, "private-proxy-1", undefined, name);
  let offers = 0;
  let manner: Manner = "serving";
  const answer = (offer: Offer) => {
    offers++;
    if (manner === "declines") attached.decline(offer.token);
    else if (manner === "serving") void serve(offer, name, running);
  };
  void (async () => {
    for (;;) answer(await attached.offer());
  })();
  const isMine = ({ message, fields }: { message: string; fields: object }, what: string) =>
    message === what && (fields as { privateProxy?: string }).privateProxy === name;
  const told = running.log.lines.length;
  const announced = announcedAfter(running, told, (line) => isMine(line, "name announced"));
  announce(attached, shares);
  await announced;
  return {
    name,
    get offers() {
      return offers;
    },
    announce: (next) => announce(attached, next),
    become(next) {
      manner = next;
    },
    async close() {
      const detached = announcedAfter(running, running.log.lines.length, (line) =>
        isMine(line, "private proxy detached"),
      );
      await attached.close();
      await detached;
    },
  };
}

function announce(attached: ScriptedPrivate, shares: Shares): void {
  attached.announce(1, [serverName], [], shares);
}

/** The first line that fits, of those that come from now on. */
async function announcedAfter(
  { log }: RunningPublic,
  from: number,
  fits: (line: RunningPublic["log"]["lines"][number]) => boolean,
): Promise<void> {
  await log.line((line) => log.lines.indexOf(line) >= from && fits(line));
}

async function serve(offer: Offer, name: string, running: RunningPublic): Promise<void> {
  const dialBack = await tcpClient(running.rendezvousPort);
  dialBack.on("end", () => dialBack.end());
  dialBack.write(encodePreface({ kind: "claim", token: offer.token }));
  await Promise.race([once(dialBack, "data"), once(dialBack, "close")]);
  dialBack.write(Buffer.concat([Buffer.of(encodeVerdict("taken")), Buffer.from(name)]));
}
