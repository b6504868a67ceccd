import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, type SecureContext, type TLSSocket } from "node:tls";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

export interface MeshCredentialsOptions {
  readonly context: SecureContext;
  /** The name, or IP address, that the server's certificate must bear. */
  readonly serverName: string;
  readonly handshakeTimeoutMs: number;
  /** Asked before each dial; none is made where it says no. */
  readonly wanted: () => boolean;
  /** The connection is made; the handshake begins. */
  readonly dialled: () => void;
  /** Told of the socket once the handshake is done. */
  readonly connected: (socket: TLSSocket) => void;
}

/**
 * Channel credentials that make the TLS connection themselves. grpc-js derives both SNI and the name to check from its
 * target; here the target is an address that was looked up before, the name to check is the host that the settings give,
 * and an IP address is never sent as SNI (RFC 6066 §3).
 */
export class MeshCredentials extends ChannelCredentials {
  constructor(private readonly options: MeshCredentialsOptions) {
    super();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...[, , callCredentials]: Parameters<ChannelCredentials["_createSecureConnector"]>
  ): SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.handshake(socket), secure: true }),
      // A second after a failure gRPC dials once more, though its client was closed long before: nobody would own that.
      waitForReady: async () => {
        if (!this.options.wanted()) throw new Error("given up");
      },
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy() {},
    };
  }

  private handshake(socket: Socket): Promise<TLSSocket> {
    const { context, serverName, handshakeTimeoutMs, dialled, connected } = this.options;
    dialled();
    return new Promise((resolve, reject) => {
      const tlsSocket = connect({
        socket,
        secureContext: context,
        ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
        checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
        ALPNProtocols: ["h2"],
      });
      const fail = (error: Error) => {
        clearTimeout(timer);
        tlsSocket.destroy();
        reject(error);
      };
      const timer = setTimeout(
        () => fail(new Error(`no TLS handshake within ${handshakeTimeoutMs} ms`)),
        handshakeTimeoutMs,
      );
      tlsSocket.once("error", fail);
      tlsSocket.once("close", () => fail(new Error("the connection was closed during the TLS handshake")));
      tlsSocket.once("secureConnect", () => {
        clearTimeout(timer);
        tlsSocket.removeAllListeners("close");
        tlsSocket.removeListener("error", fail);
        // gRPC does not listen at every moment; what goes wrong also shows in the socket's end.
        tlsSocket.on("error", () => tlsSocket.destroy());
        connected(tlsSocket);
        resolve(tlsSocket);
      });
    });
  }
}
