import type { ReasonCode } from "../base/reasons.js";
import { alertRecord } from "../tls-sni/index.js";

/** What a client is told before it is refused; undefined: nothing, the connection is just closed. */
export function refusalBytes(code: ReasonCode): Uint8Array | undefined {
  return code === "postgres_plaintext" ? tlsRequired : alertRecord(code);
}

// A PostgreSQL ErrorResponse, so that the client's user reads what is wrong (28000: invalid authorization specification).
const tlsRequired = errorResponse(
  "28000",
  "this server is reached over TLS only: connect with sslmode=require or better",
);

function errorResponse(sqlState: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${message}\0\0`);
  const head = Buffer.from([0x45, 0, 0, 0, 0]);
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
