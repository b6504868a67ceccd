import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { messageOf } from "../base/errors.js";
import type { SettingsProblem } from "../settings/problem.js";
import type { MeshCertificates } from "../settings/types.js";

/** What the other role demands of a certificate, where it states any purpose at all (RFC 5280 §4.2.1.12). */
const purposes = {
  public: { oid: "1.3.6.1.5.5.7.3.1", name: "serverAuth" },
  private: { oid: "1.3.6.1.5.5.7.3.2", name: "clientAuth" },
} as const;

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * What is wrong with the files of `mesh.certificate`, `mesh.key` and `mesh.ca`. Expiry is left out: a machine whose
 * clock is not set yet must not be told that its settings are wrong.
 */
export function meshFileProblems(role: "public" | "private", mesh: MeshCertificates): SettingsProblem[] {
  const problems: SettingsProblem[] = [];
  const wrong = (name: keyof MeshCertificates, problem: string) => {
    problems.push({ file: mesh[name], key: `mesh.${name}`, problem });
    return undefined;
  };
  const certificate = firstCertificate(mesh.certificate, (problem) => wrong("certificate", problem));
  const key = privateKey(mesh.key, (problem) => wrong("key", problem));
  firstCertificate(mesh.ca, (problem) => wrong("ca", problem));
  if (certificate !== undefined && key !== undefined && !certificate.checkPrivateKey(key)) {
    wrong("key", `this is not the key of the certificate in ${mesh.certificate}`);
  }
  const { oid, name } = purposes[role];
  // What @types/node calls keyUsage are the extended key usages.
  const usages = certificate?.keyUsage as readonly string[] | undefined;
  if (usages !== undefined && usages.length > 0 && !usages.includes(oid)) {
    wrong("certificate", `this is not a ${role} proxy's certificate: its extended key usage has no ${name}`);
  }
  return problems;
}

type Wrong = (problem: string) => undefined;

function firstCertificate(path: string, wrong: Wrong): X509Certificate | undefined {
  const blocks = read(path, wrong)?.match(certificateBlock);
  if (blocks === undefined) return undefined;
  try {
    const [first] = (blocks ?? []).map((block) => new X509Certificate(block));
    return first ?? wrong("this file holds no PEM certificate");
  } catch (error) {
    return wrong(`a certificate in this file cannot be read (${messageOf(error)})`);
  }
}

function privateKey(path: string, wrong: Wrong): KeyObject | undefined {
  const pem = read(path, wrong);
  if (pem === undefined) return undefined;
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_MISSING_PASSPHRASE") return wrong("this key has a passphrase, expected one without");
    return wrong("this file holds no PEM private key");
  }
}

function read(path: string, wrong: Wrong): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    return wrong(`this file cannot be read (${messageOf(error)})`);
  }
}
