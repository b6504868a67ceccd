import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../base/errors.js";
import type { CertificateRole } from "../certificates/issue.js";

const exitFailed = 1;

interface IssueArguments {
  readonly ca: string;
  readonly role: CertificateRole;
  readonly name: string;
  readonly dns?: string[];
  readonly ip?: string[];
  readonly uri?: string[];
  readonly days?: number;
}

/** `proxy certs`. Sets the exit status 1 where nothing was made; wrong usage is commander's to report. */
export function certsCommand(): Command {
  const certs = new Command("certs").description("make a CA and issue the certificates of the mesh");
  certs
    .command("init")
    .description("make a CA of your own: DIR/root.crt and DIR/root.key")
    .argument("<dir>", "where the CA goes; made where it is missing")
    .addHelpText("after", initHelp)
    .action((directory: string) => failing(() => init(directory)));
  certs
    .command("issue")
    .description("issue a certificate: NAME.crt and NAME.key, beside the CA")
    .requiredOption("--ca <dir>", "the directory that `proxy certs init` filled")
    .addOption(
      new Option("--role <role>", "whom it is for; see below")
        .choices(["public", "private", "server"])
        .makeOptionMandatory(),
    )
    .requiredOption("--name <name>", "the CN, the name of the files, and the DNS name unless --dns or --uri is given")
    .option("--dns <names>", "DNS names; the first is a private proxy's identity if it has no URI", list)
    .option("--ip <addresses>", "IP addresses, for public proxies that are dialled by address", list)
    .option("--uri <uris>", "URIs; a private proxy may have one, which is then its identity", list)
    .option("--days <days>", "how long it is valid, at most as long as the CA (default: 365)", wholeNumber)
    .addHelpText("after", issueHelp)
    .action((options: IssueArguments) => failing(() => issue(options)));
  return certs;
}

const initHelp = `
root.crt is what both proxies are given as mesh.ca. root.key signs every certificate: it is made with mode 0600 and
belongs on no proxy. The CA is valid for ten years. Where either file is there already nothing is changed.`;

const issueHelp = `
Roles:
  public   a public proxy's mesh port (serverAuth). Its names must be those that private proxies dial.
  private  a private proxy (clientAuth). Its identity is its URI, else its first DNS name: what grants speak of.
  server   an internal server (serverAuth).

--dns, --ip and --uri may be repeated, and take lists separated by commas. A certificate that is there under this name
is replaced together with its key: that is how one is renewed.

Examples:
  proxy certs issue --ca certs --role public --name public-1 --dns edge.example.com --ip 192.0.2.1
  proxy certs issue --ca certs --role private --name clinic-7
  proxy certs issue --ca certs --role private --name clinic-8 --uri spiffe://example.com/clinic/8 --days 30
  proxy certs issue --ca certs --role server --name app --dns app.example.com,www.example.com`;

function list(value: string, previous: string[] = []): string[] {
  const items = value.split(",").map((item) => item.trim());
  if (items.includes("")) throw new InvalidArgumentError("A name is empty.");
  return [...previous, ...items];
}

function wholeNumber(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError("It is a whole number of days.");
  return Number(value);
}

/** Runs a command that resolves with what went wrong, or undefined. A file that cannot be written goes wrong too. */
async function failing(run: () => Promise<string | undefined>): Promise<void> {
  const problem = await run().catch(messageOf);
  if (problem === undefined) return;
  console.error(`error: ${problem}`);
  process.exitCode = exitFailed;
}

// What makes certificates is heavy: it is loaded when one is made.

async function init(directory: string): Promise<string | undefined> {
  const { initAuthority } = await import("../certificates/authority.js");
  const made = await initAuthority(directory);
  if (made.status === "exists") return `${made.path} is there already; nothing was changed`;
  console.log(`created ${made.certificate} and ${made.key}`);
  return undefined;
}

async function issue({ ca, ...options }: IssueArguments): Promise<string | undefined> {
  const { issueCertificate } = await import("../certificates/issue.js");
  const issued = await issueCertificate({ caDir: ca, ...options });
  if (issued.status === "refused") return issued.problem;
  console.log(
    `issued ${issued.certificate} and ${issued.key}, valid until ${issued.notAfter.toISOString().slice(0, 10)}`,
  );
  if (options.role === "private") console.log(`its identity, for grants: ${await identityIn(issued.certificate)}`);
  return undefined;
}

async function identityIn(path: string): Promise<string> {
  const { X509Certificate } = await import("node:crypto");
  const { readIdentity } = await import("../certificates/identity.js");
  const read = readIdentity(new X509Certificate(await readFile(path)).raw);
  return read.status === "ok" ? read.identity.text : read.problem;
}
