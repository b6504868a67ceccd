#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { type Address, isAddress } from "../base/address.js";
import { softwareVersion } from "../base/version.js";
import { parseAdminAddress } from "./admin-address.js";
import { exitUsage } from "./exit.js";

type Role = "public" | "private";

/** Commands load what they need when they run: `--help` and completion stay quick. */
function program(): Command {
  const root = new Command("proxy")
    .description("TLS passthrough rendezvous proxy: serve TLS from places nobody can dial into.")
    .version(softwareVersion, "-V, --version", "print the version")
    .addHelpText("after", examples)
    .showHelpAfterError("(proxy --help shows what there is)")
    .exitOverride();

  root
    .command("run")
    .description("run a public or a private proxy in the foreground until SIGTERM or SIGINT")
    .argument("<role>", "public or private", parseRole)
    .option("-s, --settings <path>", settingsHelp)
    .addHelpText("after", runHelp)
    .action(async (role: Role, options: { settings?: string }) => {
      const { runProxy } = await import("./run.js");
      // Whatever may still be open must not keep a stopped proxy alive.
      process.exit(await runProxy(role, options));
    });

  const settings = root.command("settings").description("check or print the settings of a role");
  for (const verb of ["check", "print"] as const) {
    settings
      .command(verb)
      .description(
        verb === "check"
          ? "report everything that is wrong with the settings, and start nothing (exit status 78 where something is)"
          : "print what is in force, with every default and without secrets",
      )
      .argument("<role>", "public or private", parseRole)
      .option("-s, --settings <path>", settingsHelp)
      .addHelpText("after", verb === "check" ? checkHelp : printHelp)
      .action(async (role: Role, options: { settings?: string }) => {
        const { checkSettings, printSettingsOf } = await import("./settings.js");
        process.exitCode = verb === "check" ? checkSettings(role, options) : printSettingsOf(role, options);
      });
  }

  root
    .command("status")
    .description("show what a running proxy does: attachments, announcements, connections, refusals")
    .option("-s, --settings <path>", settingsHelp)
    .option("-a, --admin <url|socket>", adminHelp, parseAdmin)
    .option("--json", "print the status as JSON, as /status answers it")
    .addHelpText("after", statusHelp)
    .action(async (options: { settings?: string; admin?: Address; json?: boolean }) => {
      const { showStatus } = await import("./status.js");
      process.exitCode = await showStatus(options);
    });

  root
    .command("reload")
    .description("make a running proxy read its settings again; broken settings change nothing")
    .option("-s, --settings <path>", settingsHelp)
    .option("-a, --admin <url|socket>", adminHelp, parseAdmin)
    .addHelpText("after", reloadHelp)
    .action(async (options: { settings?: string; admin?: Address }) => {
      const { reloadProxy } = await import("./reload.js");
      process.exitCode = await reloadProxy(options);
    });

  root
    .command("drain")
    .description("make a running proxy finish: no new clients, live connections go on for a while, then it exits")
    .option("-s, --settings <path>", settingsHelp)
    .option("-a, --admin <url|socket>", adminHelp, parseAdmin)
    .addHelpText("after", drainHelp)
    .action(async (options: { settings?: string; admin?: Address }) => {
      const { drainProxy } = await import("./drain.js");
      process.exitCode = await drainProxy(options);
    });

  root
    .command("version")
    .description("print the version")
    .action(() => console.log(softwareVersion));

  return root;
}

const settingsHelp = "settings file or directory (default: $PROXY_SETTINGS)";
const adminHelp = "http://host:port or the path of a unix socket (default: as its settings say)";

const examples = `
Examples:
  proxy certs init certs                                            a CA of your own
  proxy certs issue --ca certs --role private --name clinic-7       a private proxy's certificate
  proxy settings check public --settings settings/public.yml
  proxy run public --settings settings/public.yml
  proxy status --settings settings/public.yml

Exit status: 0 done, 1 failed, 2 wrong usage, 78 invalid settings.`;

const runHelp = `
SIGTERM or SIGINT: tell the other role, stop accepting, let live connections finish for up to shutdown.graceMs, exit 0.
A second one ends at once. SIGHUP: read the settings again.`;

const checkHelp = `
Each problem is one line on standard error: FILE:LINE:COLUMN KEY: what is wrong, what is allowed.
Certificates and keys are looked at, too. Nothing is listened on or dialled.`;

const printHelp = `
Prints YAML that can be loaded again, but for the secrets, which are redacted. Relative paths have become absolute.`;

const tokenHelp = `
The token for an address comes from the settings (admin.token) or from $PROXY_ADMIN_TOKEN; a unix socket needs none.`;

const statusHelp = `${tokenHelp}

Examples:
  proxy status --settings settings/public.yml
  proxy status --admin http://127.0.0.1:4436 --json
  proxy status --admin run/private-proxy-1.sock`;

const reloadHelp = `
Takes effect at once, and cuts no live connection: grants, targets, time limits, log.level and log.connections.
What else has changed is named: it needs a restart. SIGHUP does the same as this command.
${tokenHelp}`;

function parseRole(value: string): Role {
  if (value === "public" || value === "private") return value;
  throw new InvalidArgumentError("It is `public` or `private`.");
}

function parseAdmin(value: string): Address {
  const parsed = parseAdminAddress(value);
  if (isAddress(parsed)) return parsed;
  throw new InvalidArgumentError(`${parsed.problem}.`);
}

const drainHelp = `
Does what SIGTERM does, and returns when it has begun: clients go to other proxies, live connections have up to
shutdown.graceMs to finish, and the process exits with status 0.
${tokenHelp}

Examples:
  proxy drain --settings settings/public.yml
  proxy drain --admin run/private-proxy-1.sock`;

async function main(): Promise<void> {
  const root = program();
  // The options of `certs` are its own; everybody else only needs to know that it is there.
  const [first, second] = process.argv.slice(2);
  if (first === "certs" || (first === "help" && second === "certs")) {
    const { certsCommand } = await import("./certs.js");
    root.addCommand(certsCommand());
  } else {
    root.command("certs").description("make a CA and issue the certificates of the mesh (proxy certs --help)");
  }
  applyExitOverride(root);
  try {
    await root.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : exitUsage;
  }
}

function applyExitOverride(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) applyExitOverride(sub as Command);
}

await main();
