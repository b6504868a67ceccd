import { type Deadline, deadlineIn } from "../base/deadline.js";
import { codeOf, ProxyError } from "../base/errors.js";
import type { ReasonCode } from "../base/reasons.js";
import { decodePreface, type Preface, prefaceBytes, startsLikePreface } from "../rendezvous/preface.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { DialBackPlane } from "./data-plane.js";

/**
 * The story of one dial-back: read the preface, give the connection to what its token stands for, a client that waits or a
 * place in the pool, here or at the worker that made the token. Owns `dialBack` until then. What is not right is closed
 * without an answer and counted.
 */
export async function receiveDialBack(dialBack: Endpoint, plane: DialBackPlane): Promise<void> {
  const ip = ipOf(dialBack);
  if (!plane.offences.tolerates(ip)) return refuse(dialBack, "rendezvous_rate_limited", plane);
  let crowdedOut = false;
  const leaveHalfOpen = plane.halfOpenDialBacks.enter(() => {
    crowdedOut = true;
    dialBack.destroy();
  });
  try {
    const preface = await readPreface(dialBack, deadlineIn(plane.config.prefaceTimeoutMs, "preface_timeout"));
    const claim = plane.claim(preface, dialBack);
    if (claim.status === "refused") throw new ProxyError(claim.reason);
  } catch (error) {
    refuse(dialBack, crowdedOut ? "rendezvous_crowded" : codeOf(error), plane);
  } finally {
    leaveHalfOpen();
  }
}

/** The rest of the story, of a dial-back whose preface another worker has read. */
export function receivePassedDialBack(dialBack: Endpoint, preface: Preface, plane: DialBackPlane): void {
  if (!plane.offences.tolerates(ipOf(dialBack))) return refuse(dialBack, "rendezvous_rate_limited", plane);
  const claim = plane.claim(preface, dialBack);
  if (claim.status === "refused") refuse(dialBack, claim.reason, plane);
}

function refuse(dialBack: Endpoint, reason: ReasonCode, plane: DialBackPlane): void {
  const ip = ipOf(dialBack);
  if (offensive.has(reason)) plane.offences.note(ip);
  // Counted by the time the peer sees its end.
  plane.dialBackRefused(reason, ip);
  dialBack.destroy();
}

function ipOf(dialBack: Endpoint): string {
  return dialBack.remote.family === "unix" ? "unix" : dialBack.remote.address;
}

/** A late token is not among them: an honest private proxy must not be punished for a client that left. */
const offensive: ReadonlySet<ReasonCode> = new Set([
  "preface_malformed",
  "token_unknown",
  "token_misplaced",
  "preface_timeout",
]);

/** Reads exactly the preface; what follows it stays unread. Throws `preface_malformed`, `preface_timeout`, `peer_...`. */
async function readPreface(dialBack: Endpoint, deadline: Deadline) {
  let bytes: Uint8Array = new Uint8Array(0);
  while (bytes.length < prefaceBytes) {
    const chunk = await dialBack.read(deadline);
    if (chunk === undefined) throw new ProxyError(bytes.length === 0 ? "peer_ended" : "preface_malformed");
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    if (!startsLikePreface(bytes)) throw new ProxyError("preface_malformed");
  }
  if (bytes.length > prefaceBytes) dialBack.unread(bytes.subarray(prefaceBytes));
  const preface = decodePreface(bytes.subarray(0, prefaceBytes));
  if (preface.status === "malformed") throw new ProxyError("preface_malformed");
  return preface;
}
