/**
 * Fills a directory (default: certs/) with the certificates that development, the demo and the tests use. What is there
 * and good for 30 more days is kept; the CA is never replaced.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../src/base/errors.js";
import { dayMs, initAuthority } from "../src/certificates/authority.js";
import { type IssueOptions, issueCertificate } from "../src/certificates/issue.js";

const renewWithinMs = 30 * dayMs;

const wanted: readonly Omit<IssueOptions, "caDir">[] = [
  { role: "public", name: "public-proxy-1", dns: ["localhost", "public-proxy-1"], ip: ["127.0.0.1"] },
  { role: "private", name: "private-proxy-1" },
  { role: "server", name: "internal-server", dns: ["test.internal-server.local"] },
];

async function main(directory: string): Promise<void> {
  const authority = await initAuthority(directory);
  if (authority.status === "created") console.log(`created ${authority.certificate}`);
  for (const options of wanted) {
    if (await isGood(directory, options)) continue;
    const issued = await issueCertificate({ caDir: directory, ...options });
    if (issued.status === "refused") throw new Error(issued.problem);
    console.log(`issued ${issued.certificate}`);
  }
}

/** Whether the certificate is there with its key, from this CA, with these names, and not about to expire. */
async function isGood(directory: string, { name, dns = [name] }: Omit<IssueOptions, "caDir">): Promise<boolean> {
  try {
    const root = new X509Certificate(await readFile(join(directory, "root.crt")));
    const certificate = new X509Certificate(await readFile(join(directory, `${name}.crt`)));
    const key = createPrivateKey(await readFile(join(directory, `${name}.key`)));
    return (
      certificate.checkIssued(root) &&
      certificate.verify(root.publicKey) &&
      certificate.checkPrivateKey(key) &&
      dns.every((each) => certificate.checkHost(each) !== undefined) &&
      Date.parse(certificate.validTo) - Date.now() > renewWithinMs
    );
  } catch {
    // Missing or unreadable: it is issued anew. A CA that cannot be read says so when it is to issue.
    return false;
  }
}

try {
  await main(process.argv[2] ?? fileURLToPath(new URL("../../certs", import.meta.url)));
} catch (error) {
  console.error(`error: ${messageOf(error)}`);
  process.exitCode = 1;
}
