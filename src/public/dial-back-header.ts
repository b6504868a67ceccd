import { encodeProxyV2 } from "../rendezvous/proxy-v2-encode.js";
import type { LiveConnection } from "./live-connections.js";
import type { Announcer } from "./names.js";

/** What a dial-back reads first: who the client is, and for which announcement it comes. PROXY protocol v2, §2.2. */
export function dialBackHeader(connection: LiveConnection, { announcementId }: Announcer): Uint8Array {
  const { id: connectionId, source, destination, serverName } = connection;
  return encodeProxyV2({ source, destination, serverName, connectionId, announcementId });
}
