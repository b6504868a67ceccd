import { isIP } from "node:net";
import { join } from "node:path";
import { dayMs, loadAuthority } from "./authority.js";
import { replace } from "./files.js";
import { isCertificateDnsName, isDnsName, isIdentityUri } from "./names.js";
import { createLeaf, generateKeys, privateKeyPem } from "./x509.js";

export type CertificateRole = "public" | "private" | "server";

export interface IssueOptions {
  /** Where the CA is, and where the certificate goes. */
  readonly caDir: string;
  /** `private`: for clients (clientAuth) only. `public` and `server`: for servers (serverAuth) only. */
  readonly role: CertificateRole;
  /** The CN, the name of the files, and the first DNS name unless `dns` or `uri` is given. */
  readonly name: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly uri?: readonly string[];
  /** How long it is valid, at most as long as the CA. */
  readonly days?: number;
  readonly now?: Date;
}

export type IssueCertificate =
  | { readonly status: "issued"; readonly certificate: string; readonly key: string; readonly notAfter: Date }
  /** Nothing was written. */
  | { readonly status: "refused"; readonly problem: string };

/** RFC 5280 appendix A.1, ub-common-name. */
const maxCommonNameBytes = 64;
export const defaultDays = 365;
export const maxDays = 3650;

/**
 * Issues a certificate with a key of its own: NAME.crt, and NAME.key with mode 0600, beside the CA's. What stands there
 * under these names is replaced, each file by a rename, the key first: who reads both in that instant sees a pair that
 * does not match and reads again, never half a file. Throws the system's error where the files cannot be written.
 */
export async function issueCertificate(options: IssueOptions): Promise<IssueCertificate> {
  const { caDir, role, name, days = defaultDays, now = new Date() } = options;
  const names = { dns: (options.dns ?? []).map(lowerCase), ip: options.ip ?? [], uri: options.uri ?? [] };
  if (names.dns.length === 0 && names.uri.length === 0) names.dns.push(name.toLowerCase());
  const problem = problemWith({ role, name, days, ...names });
  if (problem !== undefined) return { status: "refused", problem };
  const authority = await loadAuthority(caDir, now);
  if (authority.status === "refused") return authority;

  const keys = await generateKeys();
  const notAfter = new Date(Math.min(now.getTime() + days * dayMs, Date.parse(authority.root.validTo)));
  const pem = await createLeaf({
    issuer: authority.issuer,
    commonName: name,
    publicKey: keys.publicKey,
    usage: role === "private" ? "clientAuth" : "serverAuth",
    names,
    now,
    notAfter,
  });
  const certificate = join(caDir, `${name}.crt`);
  const key = join(caDir, `${name}.key`);
  await replace(caDir, [
    { path: key, contents: await privateKeyPem(keys), mode: 0o600 },
    { path: certificate, contents: pem, mode: 0o644 },
  ]);
  return { status: "issued", certificate, key, notAfter };
}

type Checked = Required<Pick<IssueOptions, "role" | "name" | "dns" | "ip" | "uri" | "days">>;

/** The first thing that is wrong with what was asked for. */
function problemWith({ role, name, dns, ip, uri, days }: Checked): string | undefined {
  if (!isDnsName(name) || name.startsWith("-") || name.length > maxCommonNameBytes) {
    return `the name ${JSON.stringify(name)} is not made of letters, digits, hyphen, underscore and dots, at most 64`;
  }
  // Also where the file system takes Root.key and root.key for one file.
  if (name.toLowerCase() === "root") return "the name root is the CA's own";
  if (!Number.isInteger(days) || days < 1 || days > maxDays) return `days is not a whole number from 1 to ${maxDays}`;
  const isName = role === "private" ? isDnsName : isCertificateDnsName;
  for (const each of dns) if (!isName(each) || isIP(each) !== 0) return `${JSON.stringify(each)} is not a DNS name`;
  for (const each of ip)
    if (isIP(each) === 0 || each.includes("%")) return `${JSON.stringify(each)} is not an IP address`;
  for (const each of uri) if (!isIdentityUri(each)) return `${JSON.stringify(each)} is not a URI without * and comma`;
  if (role === "private" && uri.length > 1) return "a private proxy's certificate bears one URI: it is its identity";
  return undefined;
}

function lowerCase(text: string): string {
  return text.toLowerCase();
}
