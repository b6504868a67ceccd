import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import test from "ava";
import { has, passOver } from "../harness/needs.js";
import { hasIpv6 } from "./peers.js";

const script = fileURLToPath(new URL("./self-connect.js", import.meta.url));
const inOwnNetwork = ["-r", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

test("bug: a connection that met itself was found out only where the address was written as the system writes it", (t) => {
  if (process.platform !== "linux") return passOver(t, "Linux");
  if (!has(t, "unshare") || !has(t, "ip")) return;
  if (spawnSync("unshare", [...inOwnNetwork, "true"]).status !== 0)
    return passOver(t, "a network namespace of its own");
  const ips = ["127.0.0.1", "127.0.0.9", "0.0.0.0"];
  if (hasIpv6) ips.push("::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::");
  const { stdout } = spawnSync("unshare", [...inOwnNetwork, process.execPath, script, ...ips], { encoding: "utf8" });
  const met = "connect_refused: nobody listens there: the connection met itself";
  t.deepEqual(
    stdout
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("127.0.0.9 ")),
    ips.filter((ip) => ip !== "127.0.0.9").map((ip) => `${ip} ${met}`),
  );
  // From 127.0.0.1, as the system chooses: so it meets nobody.
  t.regex(stdout, /^127\.0\.0\.9 connect_refused: (?!.*itself)/m);
});
