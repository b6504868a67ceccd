import { connect as connectSocket, isIP, type Socket } from "node:net";
import { type Deadline, msLeft } from "../../base/deadline.js";
import { messageOf, ProxyError } from "../../base/errors.js";
import type { ReasonCode } from "../../base/reasons.js";
import { isShortage } from "../descriptors.js";
import type { Connecting, ResolvedAddress } from "../transport.js";
import { addressesOf } from "./addresses.js";
import { alarm } from "./alarm.js";
import { NodeEndpoint, socketOptions } from "./endpoint.js";

/** A unix listener with a full queue answers EAGAIN and tells nobody when there is room: ask again. */
const unixRetryMs = 10;

/** Connects to an address; see `Transport.connect` for the codes and who owns what. */
export function connect(address: ResolvedAddress, deadline: Deadline): Connecting {
  const attempt = new Attempt(address, deadline);
  return { connected: attempt.connected, cancel: () => attempt.cancel() };
}

class Attempt {
  readonly connected: Promise<NodeEndpoint>;
  readonly #address: ResolvedAddress;
  #resolve!: (endpoint: NodeEndpoint) => void;
  #reject!: (error: ProxyError) => void;
  #cancelAlarm: () => void = () => {};
  #retry: NodeJS.Timeout | undefined;
  #socket: Socket | undefined;
  #endpoint: NodeEndpoint | undefined;
  #settled = false;

  constructor(address: ResolvedAddress, deadline: Deadline) {
    this.#address = address;
    this.connected = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever cancels need not be waiting.
    this.connected.catch(() => {});
    if (address.kind === "tcp" && isIP(address.ip) === 0) {
      this.#fail(new ProxyError("internal", `${address.ip} is not an IP address: names are looked up before`));
    } else if (msLeft(deadline) === 0) {
      this.#fail(new ProxyError(deadline.code));
    } else {
      this.#cancelAlarm = alarm(deadline.at, () => this.#fail(new ProxyError(deadline.code)));
      this.#dial();
    }
  }

  cancel(): void {
    if (!this.#settled) this.#fail(new ProxyError("closed_here"));
    this.#endpoint?.destroy();
  }

  #dial(): void {
    const address = this.#address;
    const socket =
      address.kind === "unix"
        ? connectSocket({ ...socketOptions, path: address.path })
        : connectSocket({ ...socketOptions, host: address.ip, port: address.port });
    this.#socket = socket;
    socket.once("connect", this.#onConnect).on("error", this.#onError);
  }

  readonly #onConnect = (): void => {
    const socket = this.#socket as Socket;
    const addresses = addressesOf(socket, this.#address.kind);
    if (addresses === undefined) {
      this.#fail(new ProxyError("connect_refused", "the peer closed the connection at once"));
      return;
    }
    const { remote, local } = addresses;
    if (remote.family !== "unix" && local.family !== "unix") {
      // A connect to a free port of the ephemeral range can meet itself (simultaneous open, RFC 9293 §3.5).
      if (remote.port === local.port && remote.address === local.address) {
        this.#fail(new ProxyError("connect_refused", "nobody listens there: the connection met itself"));
        return;
      }
    }
    this.#settled = true;
    this.#cancelAlarm();
    const endpoint = new NodeEndpoint(socket, addresses);
    socket.off("error", this.#onError);
    this.#socket = undefined;
    this.#endpoint = endpoint;
    this.#resolve(endpoint);
  };

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (this.#settled) return;
    if (error.code === "EAGAIN" && this.#address.kind === "unix") {
      this.#retry = setTimeout(() => this.#dial(), unixRetryMs);
    } else {
      this.#fail(new ProxyError(codeOfConnectError(error), messageOf(error), { cause: error }));
    }
  };

  #fail(error: ProxyError): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#cancelAlarm();
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#reject(error);
  }
}

function codeOfConnectError(error: NodeJS.ErrnoException): ReasonCode {
  if (isShortage(error.code)) return "descriptors_exhausted";
  switch (error.code) {
    case "ECONNREFUSED":
    case "ECONNRESET":
    case "ENOENT": // no such unix socket
      return "connect_refused";
    default: // ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EACCES, the system's own ETIMEDOUT
      return "connect_unreachable";
  }
}
