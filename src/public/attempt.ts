import { type Deadline, deadlineIn, sooner } from "../base/deadline.js";
import { codeOf, ProxyError } from "../base/errors.js";
import { decodeVerdict } from "../rendezvous/verdict.js";
import type { ClientHello } from "../tls-sni/index.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { ClientPlane } from "./data-plane.js";
import { dialBackHeader } from "./dial-back-header.js";
import type { LiveConnection } from "./live-connections.js";
import type { Announcer } from "./names.js";

/** What became of one private proxy's turn. `why` is for the log. */
export type Attempt =
  | { readonly status: "taken"; readonly dialBack: Endpoint }
  | { readonly status: "declined"; readonly why: string }
  /** Nobody came for the client: it is as it was. */
  | { readonly status: "unanswered"; readonly why: string }
  /** The hello went out and no verdict came back. */
  | { readonly status: "lost"; readonly why: string };

/** One attempt: park the client under a token, offer it, and give the hello to the dial-back that presents the token. */
export async function offerClient(
  connection: LiveConnection,
  hello: ClientHello,
  bytes: Uint8Array,
  announcer: Announcer,
  overall: Deadline,
  plane: ClientPlane,
): Promise<Attempt> {
  const deadline = sooner(deadlineIn(plane.config.attemptTimeoutMs, "nobody_answered"), overall);
  const parked = plane.park(connection, hello, announcer, deadline);
  connection.whenGone(() => parked.settle({ status: "abandoned" }));
  const outcome = await parked.outcome;
  if (outcome.status === "declined") return { status: "declined", why: outcome.reason };
  if (outcome.status !== "claimed") {
    if (outcome.status !== "sessionGone") plane.cancelOffer(announcer, parked);
    return { status: "unanswered", why: outcome.status };
  }

  const { dialBack } = outcome;
  connection.whenGone(() => dialBack.destroy());
  dialBack.write(Buffer.concat([dialBackHeader(connection, announcer), bytes]));
  try {
    const first = await dialBack.read(deadline);
    if (first === undefined || first.length === 0) throw new ProxyError("peer_ended");
    if (first.length > 1) dialBack.unread(first.subarray(1));
    const verdict = decodeVerdict(first[0]!);
    if (verdict === "taken") return { status: "taken", dialBack };
    dialBack.destroy();
    return { status: "declined", why: verdict };
  } catch (error) {
    dialBack.destroy();
    return { status: "lost", why: `no verdict (${codeOf(error)})` };
  }
}
