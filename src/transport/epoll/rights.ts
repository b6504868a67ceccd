import {
  messageLayout,
  msgCloexec,
  msgControlTruncated,
  msgDontWait,
  msgNosignal,
  scmRights,
  solSocket,
} from "./abi.js";
import type { Libc } from "./libc.js";

/** The system takes no more in one message (SCM_MAX_FD). */
export const mostRights = 253;

const { header, vector, control } = messageLayout;
const descriptorBytes = 4;

/** The control part of a message that carries descriptors (SCM_RIGHTS, unix(7)). */
export function encodeRights(descriptors: readonly number[]): Uint8Array {
  const length = control.data + descriptors.length * descriptorBytes;
  const bytes = own(align(length));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(control.length, BigInt(length), true);
  view.setInt32(control.level, solSocket, true);
  view.setInt32(control.type, scmRights, true);
  for (const [at, descriptor] of descriptors.entries()) {
    view.setInt32(control.data + at * descriptorBytes, descriptor, true);
  }
  return bytes;
}

/** The descriptors in the control part of a received message. Whoever asks must close or keep each of them. */
export function decodeRights(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const descriptors: number[] = [];
  for (let at = 0; at + control.data <= bytes.length; ) {
    // The upper half is zero, or with musl its padding.
    const length = view.getUint32(at + control.length, true);
    if (length < control.data || at + length > bytes.length) break;
    const isRights =
      view.getInt32(at + control.level, true) === solSocket && view.getInt32(at + control.type, true) === scmRights;
    for (let place = at + control.data; isRights && place + descriptorBytes <= at + length; place += descriptorBytes) {
      descriptors.push(view.getInt32(place, true));
    }
    at += align(length);
  }
  return descriptors;
}

/** A struct msghdr over one piece of memory and a control part. */
export function encodeMessageHeader(
  payload: { readonly at: bigint; readonly bytes: number },
  controlPart: { readonly at: bigint; readonly bytes: number },
  vectorAt: (encoded: Uint8Array) => bigint,
): { readonly header: Uint8Array; readonly vector: Uint8Array } {
  const encodedVector = own(vector.bytes);
  const vectorView = new DataView(encodedVector.buffer);
  vectorView.setBigUint64(vector.base, payload.at, true);
  vectorView.setBigUint64(vector.length, BigInt(payload.bytes), true);
  const encoded = own(header.bytes);
  const view = new DataView(encoded.buffer);
  view.setBigUint64(header.vectors, vectorAt(encodedVector), true);
  view.setBigUint64(header.vectorCount, 1n, true);
  view.setBigUint64(header.control, controlPart.at, true);
  view.setBigUint64(header.controlBytes, BigInt(controlPart.bytes), true);
  return { header: encoded, vector: encodedVector };
}

/** Sends a text and descriptors, at most `mostRights`, over a unix socket. Returns the bytes sent, or a negated errno. */
export function sendRights(libc: Libc, to: number, text: string, descriptors: readonly number[]): number {
  const payload = owned(Buffer.from(text));
  const rights = encodeRights(descriptors);
  const message = encodeMessageHeader(placeOf(libc, payload), placeOf(libc, rights), libc.addressOf);
  return libc.sendMessage(to, message.header, msgNosignal | msgDontWait);
}

export interface ReceivedRights {
  /** Empty: the peer has ended. */
  readonly bytes: Uint8Array;
  readonly descriptors: readonly number[];
  /** Some descriptors were lost. */
  readonly truncated: boolean;
}

/** Receives what is there, closed by exec; or returns a negated errno. The descriptors are the caller's. */
export function receiveRights(libc: Libc, from: number): ReceivedRights | number {
  const payload = own(65_536);
  const rights = own(align(control.data + mostRights * descriptorBytes));
  const message = encodeMessageHeader(placeOf(libc, payload), placeOf(libc, rights), libc.addressOf);
  const received = libc.receiveMessage(from, message.header, msgDontWait | msgCloexec);
  if (received < 0) return received;
  const view = new DataView(message.header.buffer);
  return {
    bytes: payload.subarray(0, received),
    descriptors: decodeRights(rights.subarray(0, view.getUint32(header.controlBytes, true))),
    truncated: (view.getInt32(header.flags, true) & msgControlTruncated) !== 0,
  };
}

function placeOf(libc: Libc, bytes: Uint8Array): { readonly at: bigint; readonly bytes: number } {
  return { at: libc.addressOf(bytes), bytes: bytes.length };
}

/** Memory that does not move. */
function own(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = own(bytes.length);
  copy.set(bytes);
  return copy;
}

function align(length: number): number {
  return Math.ceil(length / control.alignment) * control.alignment;
}
