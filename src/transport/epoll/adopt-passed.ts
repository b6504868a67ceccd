import { lookup } from "node:dns/promises";
import { type Address, formatAddress } from "../../base/address.js";
import { messageOf, ProxyError } from "../../base/errors.js";
import type { EndpointAddress } from "../endpoint.js";
import type { InheritedListener, ListeningUse } from "../inherited.js";
import type { PassedSocket } from "../passed-sockets.js";
import {
  afUnix,
  closeOnExec,
  fGetFlags,
  fSetDescriptorFlags,
  fSetFlags,
  soAcceptConn,
  sockNonblock,
  solSocket,
} from "./abi.js";
import { type Libc, loadLibc } from "./libc.js";
import { decodeSocketAddress, socketAddressBytes } from "./socket-address.js";
import { setKeepalive, setNoDelay } from "./socket-options.js";

/** Where a passed socket listens. */
type Place = { readonly bound: EndpointAddress; readonly text: string };

/**
 * Finds for each passed socket the address that the settings state for it, and makes it as if it had been opened here.
 * Where sockets are passed for one setting, they are all of its addresses, and no others. Throws `settings_invalid`.
 */
export async function adoptPassed(
  passed: readonly PassedSocket[],
  listens: Readonly<Record<ListeningUse, readonly Address[]>>,
): Promise<readonly InheritedListener[]> {
  if (passed.length === 0) return [];
  const libc = libcOrProblem();
  const placed = passed.map((socket) => ({ ...socket, ...placeOf(libc, socket) }));
  const adopted: InheritedListener[] = [];
  for (const use of new Set(passed.map((socket) => socket.use))) {
    const ofUse = placed.filter((socket) => socket.use === use);
    const left = new Set(ofUse);
    for (const address of listens[use]) {
      const texts = await textsOf(address);
      const found = [...left].filter(({ text }) => texts.includes(text) || isAnyPortOf(texts, text));
      if (found.length === 0) {
        const there = ofUse.map(({ text }) => text).join(", ");
        throw mismatch(`${use}.listen ${formatAddress(address)} is not among the sockets passed for it (${there})`);
      }
      for (const socket of found) {
        left.delete(socket);
        adopted.push({ use, address, descriptor: socket.descriptor, bound: socket.bound });
      }
    }
    for (const { descriptor, text } of left) {
      throw mismatch(`descriptor ${descriptor} listens on ${text}, which is not in ${use}.listen`);
    }
  }
  for (const { descriptor, bound } of adopted) prepare(libc, descriptor, bound);
  return adopted;
}

function libcOrProblem(): Libc {
  try {
    return loadLibc();
  } catch (error) {
    throw mismatch(`sockets were passed, and cannot be used: ${messageOf(error)}`);
  }
}

function placeOf(libc: Libc, { use, descriptor }: PassedSocket): Place {
  const bytes = new Uint8Array(socketAddressBytes);
  const length = Uint32Array.of(bytes.length);
  const listens = new Int32Array(1);
  const listensBytes = Uint32Array.of(4);
  const known = libc.socketName(descriptor, bytes, length as unknown as Uint8Array);
  if (known < 0) throw mismatch(`descriptor ${descriptor} (${use}) is no socket`);
  libc.getOption(
    descriptor,
    solSocket,
    soAcceptConn,
    listens as unknown as Uint8Array,
    listensBytes as unknown as Uint8Array,
  );
  if (listens[0] !== 1)
    throw mismatch(`descriptor ${descriptor} (${use}) does not listen (Accept=no in the socket unit)`);
  if (bytes[0] === afUnix) {
    const path = Buffer.from(bytes.subarray(2, length[0])).toString().replace(/\0.*$/s, "");
    return { bound: { family: "unix" }, text: `unix:${path}` };
  }
  const bound = decodeSocketAddress(bytes);
  if (bound.family === "unix") throw mismatch(`descriptor ${descriptor} (${use}) is no TCP and no unix socket`);
  return { bound, text: formatAddress({ kind: "tcp", host: bound.address, port: bound.port }) };
}

/** What a socket for this address may be bound to. */
async function textsOf(address: Address): Promise<readonly string[]> {
  if (address.kind === "unix") return [`unix:${address.path}`];
  const { host, port } = address;
  const hosts = host === "" ? ["::", "0.0.0.0"] : [(await lookup(host)).address];
  return hosts.map((each) => formatAddress({ kind: "tcp", host: each, port }));
}

/** Port 0 in the settings is any port. */
function isAnyPortOf(texts: readonly string[], text: string): boolean {
  return texts.some(
    (one) => one.endsWith(":0") && text.startsWith(one.slice(0, -1)) && /^\d+$/.test(text.slice(one.length - 1)),
  );
}

function prepare(libc: Libc, descriptor: number, bound: EndpointAddress): void {
  libc.control(descriptor, fSetDescriptorFlags, closeOnExec);
  libc.control(descriptor, fSetFlags, libc.control(descriptor, fGetFlags, 0) | sockNonblock);
  if (bound.family === "unix") return;
  setNoDelay(libc, descriptor);
  setKeepalive(libc, descriptor);
}

function mismatch(what: string): ProxyError {
  return new ProxyError("settings_invalid", `LISTEN_FDS: ${what}`);
}
