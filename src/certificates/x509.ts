/**
 * The one importer of @peculiar/x509, which wants the metadata reflection API to be there before it is. Only what makes
 * certificates needs it: a running proxy reads them without (identity.ts).
 */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** ECDSA on P-256 with SHA-256: what every TLS 1.2 and 1.3 stack verifies, in few bytes. */
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** The clock of a machine that reads the certificate may be a little behind. */
const backdatedMs = 5 * 60_000;

export interface KeyPair {
  readonly publicKey: webcrypto.CryptoKey;
  readonly privateKey: webcrypto.CryptoKey;
}

export interface Issuer {
  /** As the CA's certificate has it: issued certificates must bear the same bytes. */
  readonly name: Name;
  readonly keys: KeyPair;
}

export function generateKeys(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

/** The private key in PKCS #8, as PEM. */
export async function privateKeyPem(keys: KeyPair): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")}\n`;
}

/** A CA from the DER of its certificate, its public key (SubjectPublicKeyInfo) and its private key (PKCS #8). */
export async function importIssuer(der: {
  certificate: Uint8Array;
  spki: Uint8Array;
  pkcs8: Uint8Array;
}): Promise<Issuer> {
  return {
    name: new X509Certificate(der.certificate).subjectName,
    keys: {
      publicKey: await webcrypto.subtle.importKey("spki", der.spki, algorithm, true, ["verify"]),
      privateKey: await webcrypto.subtle.importKey("pkcs8", der.pkcs8, algorithm, false, ["sign"]),
    },
  };
}

/** A root certificate as PEM. It may sign certificates and revocation lists, and no further CA. */
export function createRoot(options: { commonName: string; keys: KeyPair; now: Date; notAfter: Date }): Promise<string> {
  const { commonName, keys, now, notAfter } = options;
  const name = new Name(`CN=${commonName}`);
  return create({ issuer: { name, keys }, subject: name, publicKey: keys.publicKey, now, notAfter }, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]);
}

export interface LeafOptions {
  readonly issuer: Issuer;
  readonly commonName: string;
  readonly publicKey: webcrypto.CryptoKey;
  readonly usage: "clientAuth" | "serverAuth";
  readonly names: { readonly dns: readonly string[]; readonly ip: readonly string[]; readonly uri: readonly string[] };
  readonly now: Date;
  readonly notAfter: Date;
}

/** A leaf certificate as PEM. */
export function createLeaf(options: LeafOptions): Promise<string> {
  const { issuer, commonName, publicKey, usage, names, now, notAfter } = options;
  return create({ issuer, subject: new Name(`CN=${commonName}`), publicKey, now, notAfter }, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage[usage]]),
    new SubjectAlternativeNameExtension(generalNames(names)),
  ]);
}

function generalNames({ dns, ip, uri }: LeafOptions["names"]): JsonGeneralNames {
  return [
    ...dns.map((value) => ({ type: "dns" as const, value })),
    ...ip.map((value) => ({ type: "ip" as const, value })),
    ...uri.map((value) => ({ type: "url" as const, value })),
  ];
}

interface CreateOptions {
  readonly issuer: Issuer;
  readonly subject: Name;
  readonly publicKey: webcrypto.CryptoKey;
  readonly now: Date;
  readonly notAfter: Date;
}

/** Signs; the serial number is 128 random bits, positive (the library's default). */
async function create(options: CreateOptions, extensions: Extension[]): Promise<string> {
  const { issuer, subject, publicKey, now, notAfter } = options;
  const certificate = await X509CertificateGenerator.create({
    issuer: issuer.name,
    subject,
    publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(now.getTime() - backdatedMs),
    notAfter,
    extensions: [
      ...extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}
