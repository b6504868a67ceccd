import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type Deadline, msLeft } from "../../base/deadline.js";
import { ProxyError } from "../../base/errors.js";
import type { ReasonCode } from "../../base/reasons.js";
import { isShortage } from "../descriptors.js";
import type { EndpointAddress } from "../endpoint.js";
import type { Connecting, ResolvedAddress } from "../transport.js";
import { eAgain, eConnRefused, eConnReset, eInProgress, eNoent, sockCloexec, sockNonblock, sockStream } from "./abi.js";
import type { Alarm } from "./alarms.js";
import { EpollEndpoint } from "./endpoint.js";
import { errorName, errorText } from "./error-text.js";
import type { EventLoop } from "./loop.js";
import { decodeSocketAddress, encodeSocketAddress, type SocketAddress } from "./socket-address.js";
import { localAddress } from "./socket-options.js";
import { Stream, type StreamUser } from "./stream.js";

/** A unix listener with a full queue answers EAGAIN and tells nobody when there is room: ask again. */
const unixRetryMs = 10;

/** Connects to an address; see `Transport.connect` for the codes and who owns what. */
export function connect(loop: EventLoop, address: ResolvedAddress, deadline: Deadline): Connecting {
  return new Attempt(loop, address, deadline);
}

class Attempt implements Connecting, StreamUser {
  readonly connected: Promise<EpollEndpoint>;
  readonly #loop: EventLoop;
  readonly #address: ResolvedAddress;
  #resolve!: (endpoint: EpollEndpoint) => void;
  #reject!: (error: ProxyError) => void;
  #alarm: Alarm | undefined;
  #retry: Alarm | undefined;
  #stream: Stream | undefined;
  #endpoint: EpollEndpoint | undefined;
  #settled = false;

  constructor(loop: EventLoop, address: ResolvedAddress, deadline: Deadline) {
    this.#loop = loop;
    this.#address = address;
    this.connected = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (msLeft(deadline) === 0) {
      this.#fail(deadline.code);
      return;
    }
    this.#alarm = loop.alarm(deadline.at, () => this.#fail(deadline.code));
    this.#dial();
  }

  cancel(): void {
    if (!this.#settled) this.#fail("closed_here");
    this.#endpoint?.destroy();
  }

  onStream(stream: Stream): void {
    if (stream.error !== 0) this.#failWith(stream.error);
    else if (stream.writable) this.#made(stream);
  }

  streamFailed(): void {
    this.#fail("internal");
  }

  #dial(): void {
    const { libc } = this.#loop;
    const destination = destinationOf(this.#address, libc.interfaceIndex);
    if (destination === undefined) {
      return this.#fail(
        "internal",
        `${JSON.stringify(this.#address)} is not an IP address: names are looked up before`,
      );
    }
    const { encoded } = destination;
    const descriptor = libc.socket(encoded.family, sockStream | sockNonblock | sockCloexec, 0);
    if (descriptor < 0) return this.#failWith(descriptor);
    if (!this.#loop.own(descriptor)) return this.#fail("descriptors_exhausted");
    this.#start(descriptor, encoded);
  }

  #start(descriptor: number, { bytes, length }: SocketAddress): void {
    const result = this.#loop.libc.connect(descriptor, bytes, length);
    if (result < 0 && result !== eInProgress) {
      this.#loop.close(descriptor);
      if (result === eAgain && this.#address.kind === "unix") {
        this.#retry = this.#loop.alarm(performance.now() + unixRetryMs, () => this.#dial());
      } else this.#failWith(result);
      return;
    }
    try {
      this.#stream = new Stream(this.#loop, descriptor, this.#address.kind, this);
    } catch {
      return this.#fail("descriptors_exhausted");
    }
    if (this.#address.kind === "tcp") this.#stream.delaysSecondSend();
    if (result === 0) {
      this.#stream.writable = true;
      this.#made(this.#stream);
    }
  }

  #made(stream: Stream): void {
    const { remote, canMeetItself } = destinations.get(this.#address)!;
    if (canMeetItself && isSame(remote, localAddress(this.#loop.libc, stream.descriptor))) {
      return this.#fail("connect_refused", "nobody listens there: the connection met itself");
    }
    this.#settled = true;
    this.#cancelAlarms();
    this.#stream = undefined;
    this.#endpoint = new EpollEndpoint(stream, remote);
    this.#resolve(this.#endpoint);
  }

  #failWith(error: number): void {
    this.#fail(codeOfConnectError(error), errorText("connect", error));
  }

  #fail(code: ReasonCode, message?: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#cancelAlarms();
    this.#stream?.close();
    // Whoever cancels need not be waiting.
    this.connected.catch(() => {});
    this.#reject(new ProxyError(code, message));
  }

  #cancelAlarms(): void {
    if (this.#alarm !== undefined) this.#loop.cancel(this.#alarm);
    if (this.#retry !== undefined) this.#loop.cancel(this.#retry);
  }
}

/** An address in the forms that connecting to it needs. */
interface Destination {
  readonly encoded: SocketAddress;
  readonly remote: EndpointAddress;
  /**
   * A connection to a free port that the system may give to the connection itself can meet itself (simultaneous open, RFC
   * 9293 §3.5). Services mostly have other ports, and then nobody need ask where each of their connections comes from.
   */
  readonly canMeetItself: boolean;
}

/** The same few addresses are dialled for every client. */
const destinations = new WeakMap<ResolvedAddress, Destination>();

/** Undefined for what is no address. The zone of an address is looked up once: interfaces keep their numbers. */
function destinationOf(address: ResolvedAddress, interfaceIndex: (name: string) => number): Destination | undefined {
  const known = destinations.get(address);
  if (known !== undefined) return known;
  if (address.kind === "tcp" && isIP(address.ip) === 0) return undefined;
  const encoded = encodeSocketAddress(address, interfaceIndex);
  if (encoded === undefined) return undefined;
  const canMeetItself = address.kind === "tcp" && isEphemeral(address.port);
  const destination = { encoded, remote: remoteOf(address), canMeetItself };
  destinations.set(address, destination);
  return destination;
}

function isSame(a: EndpointAddress, b: EndpointAddress): boolean {
  return a.family !== "unix" && b.family !== "unix" && a.port === b.port && a.address === b.address;
}

/** Whether the system may give this port to a connection from here (ip(7)). Where it does not say, it may. */
function isEphemeral(port: number): boolean {
  try {
    const range = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1");
    const [first = Number.NaN, last = Number.NaN] = range.trim().split(/\s+/).map(Number);
    return !(port < first || port > last);
  } catch {
    return true;
  }
}

/** The unspecified address leads to this machine itself. */
function remoteOf(address: ResolvedAddress): EndpointAddress {
  if (address.kind === "unix") return { family: "unix" };
  const { ip, port } = address;
  if (!ip.includes(":")) return { family: "ipv4", address: ip === "0.0.0.0" ? "127.0.0.1" : ip, port };
  // As the system would say it: in canonical form, and an IPv4-mapped address as IPv4.
  const canonical = decodeSocketAddress(encodeSocketAddress(address)!.bytes);
  return canonical.family === "ipv6" && canonical.address === "::" ? { ...canonical, address: "::1" } : canonical;
}

function codeOfConnectError(error: number): ReasonCode {
  if (isShortage(errorName(error))) return "descriptors_exhausted";
  switch (error) {
    case eConnRefused:
    case eConnReset:
    case eNoent: // no such unix socket
      return "connect_refused";
    default: // ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EACCES, the system's own ETIMEDOUT
      return "connect_unreachable";
  }
}
