import { type Deadline, monotonic } from "../base/deadline.js";
import { codeOf, ProxyError } from "../base/errors.js";
import { decodeVerdict, type Verdict } from "../rendezvous/verdict.js";
import type { ClientHello } from "../tls-sni/index.js";
import type { Endpoint } from "../transport/endpoint.js";
import type { ClientPlane } from "./data-plane.js";
import { dialBackHeader } from "./dial-back-header.js";
import type { LiveConnection } from "./live-connections.js";
import type { Announcer } from "./names.js";
import { VerdictDeadline } from "./verdict-deadline.js";

/** What became of one private proxy's turn. `why` is for the log. */
export type Attempt =
  | { readonly status: "taken"; readonly dialBack: Endpoint }
  | { readonly status: "declined"; readonly why: string }
  /** The hello went out, and the client stood in the queue of its target for as long as it could wait. */
  | { readonly status: "queued"; readonly why: string }
  /** Nobody came for the client: it is as it was. */
  | { readonly status: "unanswered"; readonly why: string }
  /** The hello went out and no verdict came back. */
  | { readonly status: "lost"; readonly why: string }
  /** The same on a dial-back from the pool, which may have died while it was parked: its private proxy may be well. */
  | { readonly status: "stale"; readonly why: string };

/** A client and whom it is offered to. */
export interface Turn {
  readonly connection: LiveConnection;
  readonly hello: ClientHello;
  /** All that was read of the client. */
  readonly bytes: Uint8Array;
  readonly announcer: Announcer;
  /** Whether a parked dial-back will do. */
  readonly usePool: boolean;
  /** For all attempts together. */
  readonly overall: Deadline;
}

/** One attempt: the client goes to a dial-back that is parked already, or else is offered and fetched. */
export async function takeTurn(turn: Turn, plane: ClientPlane): Promise<Attempt> {
  const { session } = turn.announcer.session;
  const deadline = new VerdictDeadline(plane.config.attemptTimeoutMs, turn.overall, monotonic, () =>
    plane.turns.queued(turn.announcer),
  );
  try {
    const pooled = turn.usePool ? (plane.pool.take(session) ?? (await plane.pool.next(turn, deadline))) : undefined;
    if (pooled === undefined) return await offerClient(turn, deadline, plane);
    pooled.give(deadline);
    const attempt = await giveClient(turn, pooled.dialBack, deadline);
    pooled.over();
    if (attempt.status !== "lost") return attempt;
    // What swallowed this one's bytes swallows those of its like.
    if (deadline.isOver && deadline.isWhole) plane.pool.drop(session);
    return { status: "stale", why: `pooled dial-back: ${attempt.why}` };
  } finally {
    plane.turns.over(turn.announcer, deadline.wasQueued);
  }
}

/** Parks the client under a token, offers it, and gives it to the dial-back that presents the token. */
async function offerClient(turn: Turn, deadline: VerdictDeadline, plane: ClientPlane): Promise<Attempt> {
  const { connection } = turn;
  const parked = plane.offering.offer(turn, deadline);
  connection.whenGone(() => parked.settle({ status: "abandoned" }));
  const outcome = await parked.outcome;
  if (outcome.status === "declined") return { status: "declined", why: outcome.reason };
  if (outcome.status !== "claimed") {
    if (outcome.status !== "sessionGone") plane.offering.cancel(turn, parked);
    return { status: "unanswered", why: outcome.status };
  }
  const attempt = await giveClient(turn, outcome.dialBack, deadline);
  parked.over();
  return attempt;
}

/** Sends header and hello at once, and nothing more until the verdict. What was not taken is closed here. */
async function giveClient(turn: Turn, dialBack: Endpoint, deadline: VerdictDeadline): Promise<Attempt> {
  const { connection, announcer, bytes } = turn;
  connection.whenGone(() => dialBack.destroy());
  dialBack.write(Buffer.concat([dialBackHeader(connection, announcer), bytes]));
  try {
    const verdict = await readVerdict(dialBack, deadline);
    if (verdict === "taken") return { status: "taken", dialBack };
    dialBack.destroy();
    return { status: "declined", why: verdict };
  } catch (error) {
    dialBack.destroy();
    // One that promised a verdict for sooner, and is silent, may hang.
    const isOverall = deadline.isOver && deadline.at >= turn.overall.at;
    if (isOverall && deadline.wasQueued) return { status: "queued", why: "no place at its target in time" };
    return { status: "lost", why: `no verdict (${codeOf(error)})` };
  }
}

/** One byte. What follows it stays unread: it is the server's. */
async function readVerdict(dialBack: Endpoint, deadline: VerdictDeadline): Promise<Verdict> {
  for (;;) {
    try {
      const first = await dialBack.read(deadline);
      if (first === undefined || first.length === 0) throw new ProxyError("peer_ended");
      if (first.length > 1) dialBack.unread(first.subarray(1));
      return decodeVerdict(first[0]!);
    } catch (error) {
      // It may have moved since the read began.
      if (codeOf(error) !== deadline.code || deadline.isOver) throw error;
    }
  }
}
