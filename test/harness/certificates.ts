import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initAuthority } from "../../src/certificates/authority.js";
import { issueCertificate } from "../../src/certificates/issue.js";

/** The name that the internal servers of the tests serve. */
export const serverName = "test.internal-server.local";

/** A folder with a CA and certificates of its own, as `proxy certs` makes them. */
export interface TestCertificates {
  readonly dir: string;
  readonly ca: Buffer;
  /** Paths for settings. */
  files(name: string): { readonly certificate: string; readonly key: string; readonly ca: string };
  pem(name: string): { readonly cert: Buffer; readonly key: Buffer };
  issuePrivate(name: string): Promise<void>;
  remove(): void;
}

/** With `public-proxy-1`, `private-proxy-1`, `internal-server` (for `serverName` and everything under it) and `client`. */
export async function testCertificates(): Promise<TestCertificates> {
  const dir = mkdtempSync(join(tmpdir(), "proxy-certs-"));
  await initAuthority(dir);
  const issuePrivate = async (name: string) => {
    await issueCertificate({ caDir: dir, role: "private", name });
  };
  await issueCertificate({
    caDir: dir,
    role: "public",
    name: "public-proxy-1",
    dns: ["localhost"],
    ip: ["127.0.0.1", "::1"],
  });
  await issuePrivate("private-proxy-1");
  await issuePrivate("client");
  const dns = [serverName, "*.internal-server.local", "localhost"];
  await issueCertificate({ caDir: dir, role: "server", name: "internal-server", dns });
  return {
    dir,
    ca: readFileSync(join(dir, "root.crt")),
    files: (name) => ({
      certificate: join(dir, `${name}.crt`),
      key: join(dir, `${name}.key`),
      ca: join(dir, "root.crt"),
    }),
    pem: (name) => ({ cert: readFileSync(join(dir, `${name}.crt`)), key: readFileSync(join(dir, `${name}.key`)) }),
    issuePrivate,
    remove: () => rmSync(dir, { recursive: true }),
  };
}
