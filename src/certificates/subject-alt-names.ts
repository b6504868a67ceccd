import { type DerElement, derTags, readElements, readInside } from "./der.js";

/** The names of a certificate that can be an identity, byte for byte (Latin-1), in their order. */
export interface SubjectAltNames {
  readonly dns: readonly string[];
  readonly uris: readonly string[];
}

/** 2.5.29.17 */
const subjectAltNameOid = "551d11";
/** Context-specific tags: [3] EXPLICIT Extensions (RFC 5280 §4.1), [2] dNSName and [6] URI (§4.2.1.6). */
const extensionsTag = 0xa3;
const dnsNameTag = 0x82;
const uriTag = 0x86;

/**
 * Reads the subject alternative names out of a certificate's DER; names of other kinds are passed over. Undefined where
 * the DER is not a certificate's, or has the extension twice. Without the extension both lists are empty.
 *
 * A printed form of these names (`subjectaltname` of node:tls) is no source for an identity: names that hold commas or
 * control characters have been printed as other names before (CVE-2021-44532).
 */
export function readSubjectAltNames(der: Uint8Array): SubjectAltNames | undefined {
  const extensions = readExtensions(der);
  if (extensions === undefined) return undefined;
  let names: SubjectAltNames | undefined;
  for (const extension of extensions) {
    const parts = extension.tag === derTags.sequence ? readElements(extension.contents) : undefined;
    const oid = parts?.[0];
    const value = parts?.at(-1);
    if (oid?.tag !== derTags.objectIdentifier || value?.tag !== derTags.octetString) return undefined;
    if (Buffer.from(oid.contents).toString("hex") !== subjectAltNameOid) continue;
    const general = readInside(value.contents, derTags.sequence);
    if (general === undefined || names !== undefined) return undefined;
    names = { dns: textsOf(general, dnsNameTag), uris: textsOf(general, uriTag) };
  }
  return names ?? { dns: [], uris: [] };
}

/** Certificate, TBSCertificate, the element tagged [3], the sequence in it. */
function readExtensions(der: Uint8Array): DerElement[] | undefined {
  const [body] = readInside(der, derTags.sequence) ?? [];
  const fields = body?.tag === derTags.sequence ? readElements(body.contents) : undefined;
  if (fields === undefined) return undefined;
  const extensions = fields.find((field) => field.tag === extensionsTag);
  return extensions === undefined ? [] : readInside(extensions.contents, derTags.sequence);
}

function textsOf(general: readonly DerElement[], tag: number): string[] {
  return general.filter((name) => name.tag === tag).map((name) => Buffer.from(name.contents).toString("latin1"));
}
