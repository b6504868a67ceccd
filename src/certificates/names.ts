/** As DNS itself bounds it (RFC 1035 §2.3.4). */
const maxDnsNameBytes = 253;
/** As SPIFFE bounds its ids; there is no other bound to take. */
const maxUriBytes = 2048;

/** Whether a text is a DNS name: labels of letters, digits, hyphen and underscore, 1-63 bytes each, no dot at the end. */
export function isDnsName(text: string): boolean {
  return text.length <= maxDnsNameBytes && /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/i.test(text);
}

/** Whether a text can stand as a DNS name in a server's certificate: `*` may be its first label (RFC 9525 §6.3). */
export function isCertificateDnsName(text: string): boolean {
  return isDnsName(text.startsWith("*.") ? text.slice(2) : text) && text.length <= maxDnsNameBytes;
}

/**
 * Whether a text is a URI that can be an identity: a scheme, then the characters of RFC 3986 without `*` and the comma,
 * so that neither a pattern nor a printed list of names can be taken for it.
 */
export function isIdentityUri(text: string): boolean {
  return text.length <= maxUriBytes && /^[a-z][a-z0-9+.-]*:[a-z0-9._~:/?#[\]@!$&'()+;=%-]+$/i.test(text);
}

/** Whether a name from a certificate, byte for byte, holds what no honest name holds, whoever it is meant for. */
export function isHostileName(text: string): boolean {
  return text === "" || text.length > maxUriBytes || /[^\x21-\x7e]|,/.test(text);
}
