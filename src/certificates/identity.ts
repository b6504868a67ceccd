import { X509Certificate } from "node:crypto";
import { isDnsName, isHostileName, isIdentityUri } from "./names.js";
import { readSubjectAltNames, type SubjectAltNames } from "./subject-alt-names.js";

/** Who a private proxy is. */
export interface Identity {
  readonly type: "uri" | "dns";
  /** A DNS name in lower case, or a URI exactly as it stands in the certificate. */
  readonly value: string;
  /** `uri:VALUE` or `dns:VALUE`: for logs, settings and as a key. */
  readonly text: string;
}

export type ReadIdentity =
  | { readonly status: "ok"; readonly identity: Identity }
  | { readonly status: "refused"; readonly problem: string };

export type ReadCertificate =
  | {
      readonly status: "ok";
      readonly identity: Identity;
      /** Hexadecimal, upper case. */
      readonly serialNumber: string;
      readonly notAfter: Date;
    }
  | { readonly status: "refused"; readonly problem: string };

/** Certificates of a mesh have a few hundred bytes; RSA chains of public CAs a few thousand. */
const maxDerBytes = 65536;

/** RFC 5280 §4.2.1.12 */
const clientAuthOid = "1.3.6.1.5.5.7.3.2";

/** The identity in a client certificate; see `readCertificate`. */
export function readIdentity(der: Uint8Array): ReadIdentity {
  const read = readCertificate(der);
  return read.status === "ok" ? { status: "ok", identity: read.identity } : read;
}

/**
 * Reads a private proxy's certificate from its DER, as `getPeerCertificate().raw` has it. The identity is its one URI
 * SAN, else its first DNS SAN; the CN counts for nothing. Refused: more than one URI, no name at all, a name that holds
 * what no honest name holds, a CA's certificate, and one without clientAuth (a public proxy's, for one).
 *
 * Whether the certificate is to be trusted is not looked at: the TLS handshake has done that.
 */
export function readCertificate(der: Uint8Array): ReadCertificate {
  const certificate = der.length > maxDerBytes ? undefined : parse(der);
  const names = certificate === undefined ? undefined : readSubjectAltNames(der);
  if (certificate === undefined || names === undefined) return refused("the certificate cannot be read");
  if (certificate.ca) return refused("the certificate is a CA's");
  if (!certificate.keyUsage?.includes(clientAuthOid)) {
    return refused("the certificate is not for clients (no clientAuth in its extended key usage)");
  }
  const identity = identityOf(names);
  if (typeof identity === "string") return refused(identity);
  return {
    status: "ok",
    identity,
    serialNumber: certificate.serialNumber,
    notAfter: new Date(certificate.validTo),
  };
}

function parse(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

/** The identity, or what is wrong with the names. */
function identityOf({ dns, uris }: SubjectAltNames): Identity | string {
  if ([...dns, ...uris].some(isHostileName)) return "a name in the certificate holds characters that no name holds";
  if (uris.length > 1) return "the certificate has more than one URI";
  const [uri] = uris;
  if (uri !== undefined) {
    return isIdentityUri(uri) ? { type: "uri", value: uri, text: `uri:${uri}` } : "the certificate's URI is not valid";
  }
  const [name] = dns;
  if (name === undefined) return "the certificate has neither a URI nor a DNS name (its CN does not count)";
  if (!isDnsName(name)) return "the certificate's first DNS name is not a host name";
  const value = name.toLowerCase();
  return { type: "dns", value, text: `dns:${value}` };
}

function refused(problem: string): { readonly status: "refused"; readonly problem: string } {
  return { status: "refused", problem };
}
