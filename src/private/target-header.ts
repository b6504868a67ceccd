import type { ProxyHeader } from "../rendezvous/proxy-header.js";
import { encodeProxyV1 } from "../rendezvous/proxy-v1.js";
import { encodeProxyV2 } from "../rendezvous/proxy-v2-encode.js";
import type { Target } from "./targets.js";

/**
 * What the target is told of the client, as its settings ask for it. Written anew: the announcement's id is nobody's
 * business there, and no ALPN is claimed, for nothing has been negotiated yet.
 */
export function targetHeader(target: Target, header: ProxyHeader): Uint8Array | undefined {
  const source = header.source ?? { family: "unix" };
  const destination = header.destination ?? { family: "unix" };
  switch (target.proxyProtocol) {
    case "none":
      return undefined;
    case "v1":
      return encodeProxyV1({ source, destination });
    case "v2":
      return encodeProxyV2({ source, destination, serverName: header.serverName, connectionId: header.connectionId });
  }
}
