import { type Deadline, deadlineIn } from "../base/deadline.js";
import { codeOf, ProxyError } from "../base/errors.js";
import { encodePreface } from "../rendezvous/preface.js";
import type { ProxyHeader } from "../rendezvous/proxy-header.js";
import { declineVerdict, encodeVerdict } from "../rendezvous/verdict.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { Connecting } from "../transport/transport.js";
import type { RendezvousPlane } from "./data-plane.js";
import type { LiveRendezvous } from "./live-rendezvous.js";
import type { Reaching } from "./queued-reach.js";
import { readRendezvousHeader } from "./rendezvous-header.js";
import { startTls } from "./start-tls.js";
import { targetHeader } from "./target-header.js";
import type { Target } from "./targets.js";

/**
 * The story of one rendezvous: dial the target and the public proxy at the same time, present the token, give the
 * verdict, splice. Where a parked dial-back has brought the client, it is taken instead of a fresh one, and all else is
 * the same. It ends when the splice begins. Never rejects: what goes wrong becomes one reason code, which the public proxy
 * is told where it can still be told, and which is counted and logged here.
 */
export async function answerOffer(rendezvous: LiveRendezvous, plane: RendezvousPlane): Promise<void> {
  const { offer } = rendezvous;
  const deadline = deadlineIn(offer.msLeft, "offer_expired");
  try {
    const target = plane.targetOf(rendezvous);
    rendezvous.target = target.address;
    // The target first: when the dial-back reaches the public proxy, the target should be there already.
    const reaching = plane.connectTarget(rendezvous, target, deadline);
    const dialling = plane.dialBack(rendezvous, deadline);
    // Either connection may have been made by then: cancelling destroys it.
    rendezvous.whenCancelled(() => {
      reaching.cancel();
      dialling.cancel();
    });
    const { dialBack, header } = await meetClient(rendezvous, dialling, deadline);
    rendezvous.met();
    // A dial-back that ends before the verdict says that the client has left, or that somebody else serves it.
    void dialBack.hangup.then(() => reaching.cancel());
    const opened = await giveVerdict(dialBack, openTarget(rendezvous, target, reaching, header));
    rendezvous.splice(plane.splice(dialBack, opened));
  } catch (error) {
    if (codeOf(error) === "internal") plane.fault(error);
    rendezvous.refuse(error);
  }
}

/** The client's side: a dial-back whose token was taken, and what the public proxy says of the client. */
async function meetClient(
  { offer, parked }: LiveRendezvous,
  dialling: Connecting,
  deadline: Deadline,
): Promise<{ dialBack: Endpoint; header: ProxyHeader }> {
  const dialBack = await dialling.connected;
  if (parked === undefined) dialBack.write(encodePreface({ kind: "claim", token: offer.token }));
  const { header, bytes, length } = await readRendezvousHeader(dialBack, deadline);
  if (length < bytes.length) dialBack.unread(bytes.subarray(length));
  return { dialBack, header };
}

/** The server's side: connected, told who the client is, and ready for a hello. */
async function openTarget(
  { offer }: LiveRendezvous,
  target: Target,
  reaching: Reaching,
  header: ProxyHeader,
): Promise<Endpoint> {
  // The bytes on the dial-back count, not only the offer: a mix-up must not reach the wrong server.
  if (header.announcementId !== offer.announcementId || header.serverName !== offer.serverName) {
    throw new ProxyError("name_not_served", "the PROXY header on the dial-back is not for the offer that was answered");
  }
  const endpoint = await reaching.connected;
  const head = targetHeader(target, header);
  if (head !== undefined) endpoint.write(head);
  await startTls(endpoint, target, reaching.deadline);
  return endpoint;
}

/** Tells the public proxy in one byte, before anything else, what became of the target. Ends the dial-back otherwise. */
async function giveVerdict(dialBack: Endpoint, opening: Promise<Endpoint>): Promise<Endpoint> {
  try {
    const target = await opening;
    dialBack.write(Uint8Array.of(encodeVerdict("taken")));
    return target;
  } catch (error) {
    dialBack.end(Uint8Array.of(encodeVerdict(declineVerdict(codeOf(error)))));
    throw error;
  }
}
