import { ProxyError } from "../base/errors.js";
import { tokenBytes } from "./token.js";

/**
 * The preface: the bytes a dial-back starts with.
 *
 *     offset  bytes  field
 *          0      4  magic "RDVP"
 *          4      1  version, 1
 *          5      1  kind: 1 claims a waiting client, 2 parks the dial-back for a later one
 *          6      2  reserved, zero
 *          8     32  token
 */
export const prefaceBytes = 40;

export type PrefaceKind = "claim" | "park";

export interface Preface {
  readonly kind: PrefaceKind;
  readonly token: Uint8Array;
}

export type DecodedPreface = ({ readonly status: "ok" } & Preface) | { readonly status: "malformed" };

/** "RDVP" */
const magic = 0x52445650;
const version = 1;
const kindBytes = { claim: 1, park: 2 } as const satisfies Record<PrefaceKind, number>;
const tokenOffset = prefaceBytes - tokenBytes;

/** Whether bytes, however few, may be the start of a preface. */
export function startsLikePreface(bytes: Uint8Array): boolean {
  const seen = Math.min(bytes.length, 4);
  for (let at = 0; at < seen; at++) if (bytes[at] !== ((magic >>> (24 - 8 * at)) & 0xff)) return false;
  return true;
}

/** The token must have 32 bytes, as `createToken` makes it; another length throws `internal`. */
export function encodePreface(preface: Preface): Uint8Array {
  if (preface.token.length !== tokenBytes) throw new ProxyError("internal", `a token has ${tokenBytes} bytes`);
  const bytes = new Uint8Array(prefaceBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint8(4, version);
  view.setUint8(5, kindBytes[preface.kind]);
  bytes.set(preface.token, tokenOffset);
  return bytes;
}

/** Reads exactly 40 bytes. The token is a copy: the caller's buffer may be used again. */
export function decodePreface(bytes: Uint8Array): DecodedPreface {
  if (bytes.length !== prefaceBytes) return { status: "malformed" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== magic || view.getUint8(4) !== version || view.getUint16(6) !== 0) {
    return { status: "malformed" };
  }
  const kind = kindOf(view.getUint8(5));
  if (kind === undefined) return { status: "malformed" };
  return { status: "ok", kind, token: new Uint8Array(bytes.subarray(tokenOffset)) };
}

function kindOf(byte: number): PrefaceKind | undefined {
  if (byte === kindBytes.claim) return "claim";
  return byte === kindBytes.park ? "park" : undefined;
}
