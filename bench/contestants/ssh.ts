import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { freePort, startProgram } from "../processes.js";
import { type Contestant, findProgram, missingPrograms, writeSettings } from "./contestant.js";

/** Debian's sshd does not start without it. */
const separation = "/run/sshd";

export const ssh: Contestant = {
  name: "ssh -R",
  settings: "OpenSSH with a server and keys of its own, aes128-gcm, all streams over one connection",
  missing() {
    const missing = missingPrograms("sshd", "ssh", "ssh-keygen");
    return missing ?? (process.getuid?.() === 0 && !existsSync(separation) ? separation : undefined);
  },
  async start(place) {
    const [port, control] = [await freePort(), await freePort()];
    const hostKey = makeKey(join(place.directory, "host"));
    const userKey = makeKey(join(place.directory, "user"));
    const authorized = join(place.directory, "authorized");
    writeFileSync(authorized, readFileSync(`${userKey}.pub`), { mode: 0o600 });
    const settings = writeSettings(place, "sshd_config", { control, hostKey, authorized });
    const server = await startProgram(findProgram("sshd")!, ["-D", "-e", "-f", settings], { name: "sshd" });
    const dialled = await place.leg(control);
    const options = {
      StrictHostKeyChecking: "no",
      UserKnownHostsFile: "/dev/null",
      GlobalKnownHostsFile: "/dev/null",
      IdentitiesOnly: "yes",
      ExitOnForwardFailure: "yes",
      Ciphers: "aes128-gcm@openssh.com",
      ConnectionAttempts: "20",
      LogLevel: "ERROR",
    };
    const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const forward = `127.0.0.1:${port}:127.0.0.1:${place.target}`;
    const where = ["-p", String(dialled), `${userInfo().username}@127.0.0.1`];
    const client = await startProgram(
      findProgram("ssh")!,
      ["-F", "none", "-N", ...flags, "-i", userKey, "-R", forward, ...where],
      { name: "ssh" },
    );
    return {
      port,
      // The client first: the session it has would outlive the server.
      programs: [client, server],
      hops: [
        { title: "public", pid: server.pid },
        { title: "private", pid: client.pid },
      ],
    };
  },
};

function makeKey(path: string): string {
  execFileSync(findProgram("ssh-keygen")!, ["-q", "-t", "ed25519", "-N", "", "-f", path]);
  return path;
}
