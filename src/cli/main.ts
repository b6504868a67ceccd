#!/usr/bin/env node
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { softwareVersion } from "../base/version.js";
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
      process.exitCode = await runProxy(role, options);
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
      .action(async (role: Role, options: { settings?: string }) => {
        const { checkSettings, printSettingsOf } = await import("./settings.js");
        process.exitCode = verb === "check" ? checkSettings(role, options) : printSettingsOf(role, options);
      });
  }

  root
    .command("status")
    .description("show what a running proxy does: attachments, announcements, connections, refusals")
    .option("-s, --settings <path>", settingsHelp)
    .option("-a, --admin <url|socket>", adminHelp)
    .option("--json", "print the status as JSON")
    .action(async (options: { settings?: string; admin?: string; json?: boolean }) => {
      const { showStatus } = await import("./status.js");
      process.exitCode = await showStatus(options);
    });

  root
    .command("reload")
    .description("make a running proxy read its settings again; broken settings change nothing")
    .option("-s, --settings <path>", settingsHelp)
    .option("-a, --admin <url|socket>", adminHelp)
    .action(async (options: { settings?: string; admin?: string }) => {
      const { reloadProxy } = await import("./reload.js");
      process.exitCode = await reloadProxy(options);
    });

  root
    .command("version")
    .description("print the version")
    .action(() => console.log(softwareVersion));

  return root;
}

const settingsHelp = "settings file or directory (default: $PROXY_SETTINGS)";
const adminHelp = "where the proxy's admin endpoint is (default: as its settings say)";

const examples = `
Examples:
  proxy certs init certs                                            a CA of your own
  proxy certs issue --ca certs --role private --name clinic-7       a private proxy's certificate
  proxy settings check public --settings settings/public.yml
  proxy run public --settings settings/public.yml
  proxy status --settings settings/public.yml

Exit status: 0 done, 1 failed, 2 wrong usage, 78 invalid settings.`;

const runHelp = `
SIGTERM or SIGINT: stop accepting, let live connections finish for up to shutdown.graceMs, exit 0.
A second one ends at once. SIGHUP: read the settings again.`;

function parseRole(value: string): Role {
  if (value === "public" || value === "private") return value;
  throw new InvalidArgumentError("It is `public` or `private`.");
}

async function main(): Promise<void> {
  const root = program();
  // @peculiar/x509 is heavy; it is loaded only where a certificate is made, or all help is asked for.
  if (process.argv[2] === "certs") {
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
