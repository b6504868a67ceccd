import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { access, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../base/errors.js";
import { writeNew } from "./files.js";
import { createRoot, generateKeys, type Issuer, importIssuer, privateKeyPem } from "./x509.js";

export const rootFiles = { certificate: "root.crt", key: "root.key" } as const;

export const dayMs = 86_400_000;
const rootDays = 3650;

export type InitAuthority =
  | { readonly status: "created"; readonly certificate: string; readonly key: string }
  /** Something is there already; nothing was changed. */
  | { readonly status: "exists"; readonly path: string };

/**
 * Makes a CA of one's own in `directory`, which is made where it is missing: root.crt, and root.key with mode 0600,
 * valid for ten years. A CA that is there, or half of one, is never touched. Throws the system's error where the files
 * cannot be written.
 */
export async function initAuthority(directory: string, options: { now?: Date } = {}): Promise<InitAuthority> {
  const certificate = join(directory, rootFiles.certificate);
  const key = join(directory, rootFiles.key);
  for (const path of [certificate, key]) if (await isThere(path)) return { status: "exists", path };
  const now = options.now ?? new Date();
  const keys = await generateKeys();
  // Two CAs never share a name, so that a chain can only be built to the one that issued it.
  const commonName = `Rendezvous root ${randomBytes(4).toString("hex")}`;
  const pem = await createRoot({ commonName, keys, now, notAfter: new Date(now.getTime() + rootDays * dayMs) });
  await mkdir(directory, { recursive: true });
  const existing = await writeNew([
    { path: key, contents: await privateKeyPem(keys), mode: 0o600 },
    { path: certificate, contents: pem, mode: 0o644 },
  ]);
  return existing === undefined ? { status: "created", certificate, key } : { status: "exists", path: existing };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

export type LoadAuthority =
  | { readonly status: "ok"; readonly issuer: Issuer; readonly root: X509Certificate }
  | { readonly status: "refused"; readonly problem: string };

/** Reads the CA in `directory` and checks that it can issue: a CA's certificate, its own key, not expired, P-256. */
export async function loadAuthority(directory: string, now: Date): Promise<LoadAuthority> {
  let root: X509Certificate;
  let key: KeyObject;
  try {
    root = new X509Certificate(await readFile(join(directory, rootFiles.certificate)));
    key = createPrivateKey(await readFile(join(directory, rootFiles.key)));
  } catch (error) {
    return refused(`no usable CA in ${directory}: ${messageOf(error)} (proxy certs init makes one)`);
  }
  const files = `${rootFiles.certificate} in ${directory}`;
  if (!root.ca) return refused(`${files} is not a CA's certificate`);
  if (!root.checkPrivateKey(key)) return refused(`${files} and ${rootFiles.key} do not belong together`);
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return refused(`${files} has no key on the curve P-256`);
  if (new Date(root.validTo) <= now) return refused(`${files} has expired on ${root.validTo}`);
  const issuer = await importIssuer({
    certificate: root.raw,
    spki: root.publicKey.export({ type: "spki", format: "der" }),
    pkcs8: key.export({ type: "pkcs8", format: "der" }),
  });
  return { status: "ok", issuer, root };
}

function refused(problem: string): { readonly status: "refused"; readonly problem: string } {
  return { status: "refused", problem };
}
