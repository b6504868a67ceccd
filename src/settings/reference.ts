import { variableOf } from "./environment.js";
import { privateSchema } from "./private-schema.js";
import { publicSchema } from "./public-schema.js";
import { type Schema, type Setting, settingsOf } from "./schema.js";

/** The settings reference as Markdown, made from the schema. */
export function settingsReference(): string {
  return `${introduction}\n${section("Public proxy", publicSchema)}\n${section("Private proxy", privateSchema)}`;
}

const introduction = `# Settings

<!-- Made from the schema by \`node dist/scripts/settings-reference.js\`; edit src/settings, not this file. -->

Settings are YAML or JSON. \`--settings\` or \`PROXY_SETTINGS\` names a file, or a directory whose \`*.yml\`, \`*.yaml\` and
\`*.json\` are read in name order: maps merge, \`grants\` and \`targets\` are joined, other lists are replaced by the later
file. Relative paths are relative to the file they stand in.

The environment wins over files. The variable of a key is made from its path: \`PROXY_SHUTDOWN_GRACE_MS\` is
\`shutdown.graceMs\`. In a variable the items of a list stand with commas between them, and relative paths are relative to
the working directory. Lists of maps have no variable.

Everything in force is checked before anything starts; of a value that a later file or the environment replaces only the
key is. Each problem is one line, \`file:line:column key: what is wrong, what is
allowed\`, and all of them come at once, with exit status 78. \`proxy settings check\` does only that, and
\`proxy settings print\` shows what is in force.

An address is \`host:port\`, \`[v6]:port\` or \`unix:/path\` (at most 107 bytes). Every \`listen\` takes a list too. Some
defaults give way: where only one of \`mesh.reconnect.minMs\` and \`mesh.reconnect.maxMs\`, or of
\`rendezvous.attemptTimeoutMs\` and \`rendezvous.deadlineMs\`, is written, or not all of \`pool.minIdle\`, \`pool.maxIdle\`
and \`pool.max\`, the others follow it rather than contradict it.

Everything that can wait has an end: [deadlines](deadlines.md) lists all of them, also those that are no setting, with reasons.
`;

function section(title: string, schema: Schema): string {
  const rows = [...settingsOf(schema)].flatMap(([key, setting]) => {
    const variable = setting.kind.fromText === undefined ? "" : `\`${variableOf(key)}\``;
    return [row(key, setting, variable), ...fieldRows(`${key}[]`, setting)];
  });
  const head = ["| key | variable | allowed | default | meaning |", "| --- | --- | --- | --- | --- |"];
  return `${[`## ${title}`, "", ...head, ...rows].join("\n")}\n`;
}

function fieldRows(key: string, { fields = {} }: Setting): string[] {
  return Object.entries(fields).flatMap(([name, field]) => [
    row(`${key}.${name}`, field, ""),
    ...fieldRows(`${key}.${name}`, field),
  ]);
}

function row(key: string, setting: Setting, variable: string): string {
  const cells = [`\`${key}\``, variable, escaped(setting.kind.allowed), defaultOf(setting), setting.doc];
  return `| ${cells.join(" | ")} |`;
}

function defaultOf(setting: Setting): string {
  if (setting.presence === "required") return "required";
  return setting.presence === "optional" ? "none" : `\`${JSON.stringify(setting.default)}\``;
}

/** Asterisks and brackets of patterns and addresses are no Markdown. */
function escaped(text: string): string {
  return text.replace(/[*|[\]]/g, "\\$&");
}
