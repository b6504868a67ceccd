import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { SteadyClock } from "../steady-clock.js";
import { checkBytes, knownBytes } from "./bytes.js";
import {
  digestBytes,
  greetingBytes,
  greetingFor,
  helloFor,
  keyOf,
  messageBytes,
  type Operation,
  sha256,
} from "./operation.js";

/** How a client leaves before it is served, or amid the bytes. */
export type Leaving = "reset" | "close" | "end";

export interface ClientPlan {
  readonly operation: Operation;
  readonly port: number;
  readonly name: string;
  readonly padding: number;
  /** Of a talk, between two messages. */
  readonly pauseMs: number;
  /** So long after it began; undefined: it stays to the end. */
  readonly leave: { readonly afterMs: number; readonly how: Leaving } | undefined;
}

/** What became of a connection, as its client saw it. */
export type Outcome =
  /** Every byte of both directions has been checked, and both ended in order. */
  | "complete"
  /** A TLS alert came, and nothing else. */
  | "alert"
  /** It ended without a byte, in order or by a reset. */
  | "closed"
  | "reset"
  /** It broke off after bytes, in order or by a reset; what came was right. */
  | "endedEarly"
  | "brokeOff"
  /** The client left as planned. */
  | "left"
  /** The public proxy's port did not take it. */
  | "unreachable"
  /** Nothing moved for longer than it may. */
  | "hung"
  /** A byte was not what it should be. */
  | "lied";

export interface ClientReport {
  readonly plan: ClientPlan;
  readonly outcome: Outcome;
  /** Of an alert, its description (RFC 8446 §6). */
  readonly alert: number | undefined;
  readonly detail: string;
  /** As the public proxy logs it; undefined where it never connected. */
  readonly localPort: number | undefined;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly bytes: number;
}

const alertRecordBytes = 7;
const alertType = 0x15;
/** With the hello in one write: what comes behind a hello must wait for the verdict. */
const firstBytes = 16 * 1024;
const pieceBytes = 32 * 1024;

/**
 * One checked connection from its connect to its end. Resolves with what became of it; never rejects. A connection that moves
 * no byte for `silenceMs` of the clock is hung, and cut.
 */
export function runClient(plan: ClientPlan, clock: SteadyClock, silenceMs: number): Promise<ClientReport> {
  const { operation, leave } = plan;
  const hello = helloFor(operation, plan.name, plan.padding);
  const greeting = greetingFor(hello);
  const down = checkBytes(keyOf(operation, "down"), operation.down);
  const upBytes = knownBytes(keyOf(operation, "up"));
  const upHash = createHash("sha256");
  const startedAt = Date.now();

  return new Promise((resolve) => {
    const socket: Socket = connect({ port: plan.port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    /** Alert or greeting, then the digest: what is no `down` byte. */
    let head = Buffer.alloc(0);
    let tail = Buffer.alloc(0);
    let received = 0;
    let sent = 0;
    let connected = false;
    let localPort: number | undefined;
    let error: NodeJS.ErrnoException | undefined;
    let finished: Pick<ClientReport, "outcome" | "detail" | "alert"> | undefined;
    let movedAt = clock.now;
    let pause: NodeJS.Timeout | undefined;

    const stopWatching = clock.onTick(() => {
      if (clock.now - movedAt <= silenceMs) return;
      finish("hung", `${received} bytes came, ${sent} of ${operation.up} went, then nothing for ${silenceMs / 1000} s`);
    });
    const leaveTimer =
      leave === undefined
        ? undefined
        : setTimeout(() => {
            finished ??= { outcome: "left", detail: leave.how, alert: undefined };
            if (leave.how === "reset" && connected) socket.resetAndDestroy();
            else if (leave.how === "end") socket.end(() => socket.destroy());
            else socket.destroy();
          }, leave.afterMs);

    socket.once("connect", () => {
      connected = true;
      localPort = socket.localPort;
      movedAt = clock.now;
    });
    // Node sends it when it is connected: hello, digest and the first of the body in one segment, if they fit.
    const first = operation.kind === "talk" ? 0 : Math.min(operation.up, firstBytes);
    socket.write(Buffer.concat([hello, sha256(hello), nextUp(first)]));
    socket.on("data", take);
    socket.on("drain", () => {
      movedAt = clock.now;
      if (head.length === greetingBytes) send();
    });
    socket.once("end", ended);
    socket.on("error", (problem: NodeJS.ErrnoException) => {
      error = problem;
    });
    socket.once("close", () => {
      clearTimeout(leaveTimer);
      clearTimeout(pause);
      stopWatching();
      const endedAt = Date.now();
      const found = finished ?? brokenOff();
      resolve({ plan, ...found, localPort, startedAt, endedAt, bytes: sent + received });
    });

    function finish(outcome: Outcome, detail = "", alert: number | undefined = undefined): void {
      finished ??= { outcome, detail, alert };
      socket.destroy();
    }

    function brokenOff(): Pick<ClientReport, "outcome" | "detail" | "alert"> {
      // A reset behind an alert takes nothing from it.
      if (head[0] === alertType && head.length === alertRecordBytes)
        return { outcome: "alert", detail: "", alert: head[6] };
      const outcome = !connected ? "unreachable" : received === 0 ? "reset" : "brokeOff";
      return { outcome, detail: error?.code ?? "", alert: undefined };
    }

    function nextUp(count: number): Buffer {
      if (count === 0) return Buffer.alloc(0);
      const bytes = upBytes.next(count);
      upHash.update(bytes);
      sent += count;
      return bytes;
    }

    function send(): void {
      if (socket.destroyed || socket.writableEnded) return;
      if (operation.kind === "talk") {
        const answered = down.got === Math.min(sent, operation.down);
        if (!answered || pause !== undefined) return;
        if (sent < operation.up) {
          const wait = sent === 0 ? 0 : plan.pauseMs;
          pause = setTimeout(() => {
            pause = undefined;
            movedAt = clock.now;
            socket.write(nextUp(Math.min(messageBytes, operation.up - sent)));
          }, wait);
          return;
        }
      }
      while (sent < operation.up) if (!socket.write(nextUp(Math.min(pieceBytes, operation.up - sent)))) return;
      socket.end();
    }

    function take(chunk: Buffer): void {
      movedAt = clock.now;
      received += chunk.length;
      let rest = chunk;
      if (head.length < greetingBytes) {
        const missing = greetingBytes - head.length;
        head = Buffer.concat([head, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (head[0] === alertType) return takeAlert();
        if (!greeting.subarray(0, head.length).equals(head))
          return finish("lied", `instead of the greeting came ${head.toString("hex")}`);
        if (head.length < greetingBytes) return;
        send();
      }
      const body = rest.subarray(0, operation.down - down.got);
      const problem = down.take(body);
      if (problem !== undefined) return finish("lied", `down: ${problem}`);
      tail = Buffer.concat([tail, rest.subarray(body.length)]);
      if (tail.length > digestBytes) return finish("lied", "more came than was sent");
      if (operation.kind === "talk") send();
    }

    function takeAlert(): void {
      if (head.length > alertRecordBytes) finish("lied", `behind an alert came ${head.toString("hex")}`);
    }

    function ended(): void {
      if (finished !== undefined) return;
      if (received === 0) return finish("closed");
      if (head[0] === alertType) return endedByAlert();
      if (down.got < operation.down || tail.length < digestBytes) return finish("endedEarly");
      if (sent < operation.up) return finish("lied", "the server has ended before it had everything");
      if (!tail.equals(upHash.digest())) return finish("lied", "what came up has another SHA-256");
      socket.end();
      finish("complete");
    }

    function endedByAlert(): void {
      const [, major, minor, high, low, level, description] = head;
      const isAlert =
        head.length === alertRecordBytes && major === 3 && minor === 3 && high === 0 && low === 2 && level === 2;
      if (!isAlert) return finish("lied", `no whole alert: ${head.toString("hex")}`);
      finish("alert", "", description);
    }
  });
}
