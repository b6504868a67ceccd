/**
 * The PROXY protocol header of HAProxy (proxy-protocol.txt, sections 2.1 and 2.2): what it says. It stands before a
 * connection's own bytes and tells whose connection it is.
 */

/** One end of the connection that the header is about. */
export interface ProxyAddress {
  readonly family: "ipv4" | "ipv6";
  readonly address: string;
  readonly port: number;
}

/** As endpoints give it: a unix socket's peer has no address that a header could carry. */
export type ProxyPeer = ProxyAddress | { readonly family: "unix" };

/** Whose connection it is. */
export interface ProxyPeers {
  readonly source: ProxyPeer;
  readonly destination: ProxyPeer;
}

/** What a version 2 header can say beyond the addresses. */
export interface ProxyHeaderFields extends ProxyPeers {
  /** `PP2_TYPE_AUTHORITY`. */
  readonly serverName?: string | undefined;
  /** `PP2_TYPE_UNIQUE_ID`, at most 128 bytes. */
  readonly connectionId?: string | Uint8Array | undefined;
  /** The private proxy's number for its announcement, an unsigned 32-bit integer; never sent to a target. */
  readonly announcementId?: number | undefined;
}

/** What a header says. `source` and `destination` are both there or both missing. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the sender's own connection (a health check); it speaks about no client, so nothing else is set. */
  readonly command: "local" | "proxy";
  readonly source?: ProxyAddress;
  readonly destination?: ProxyAddress;
  readonly serverName?: string;
  readonly connectionId?: Uint8Array;
  readonly announcementId?: number;
}

export type DecodedProxyHeader =
  /** What is here is right so far. */
  | { readonly status: "more" }
  /** `length` bytes were the header; the connection's own bytes follow. */
  | { readonly status: "header"; readonly header: ProxyHeader; readonly length: number }
  | { readonly status: "malformed"; readonly problem: string };

export function malformed(problem: string): { readonly status: "malformed"; readonly problem: string } {
  return { status: "malformed", problem };
}
