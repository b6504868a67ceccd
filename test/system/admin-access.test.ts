import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type AdminEndpoints, type AdminOptions, startAdminServer } from "../../src/admin/server.js";
import type { Status } from "../../src/admin/status.js";
import { requestAdmin } from "../harness/admin-requests.js";
import { untilClosed } from "../harness/clients.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { address } from "../harness/settings.js";

assertNothingLeft(test);

const status = { version: 1, role: "public", name: "a", ready: true } as Status;

/** An admin endpoint over a proxy that only counts its reloads. */
async function admin(t: ExecutionContext, options: Omit<AdminOptions, "endpoints">) {
  let reloads = 0;
  const endpoints: AdminEndpoints = {
    ready: () => true,
    state: () => "serving",
    status: () => status,
    metrics: async () => ({ contentType: "text/plain", body: "" }),
    commands: {
      "/reload": async () => {
        reloads++;
        return { status: "done" };
      },
    },
  };
  const server = await startAdminServer({ ...options, endpoints });
  t.teardown(() => server.close());
  return {
    at: server.addresses[0]!,
    addresses: server.addresses,
    get reloads() {
      return reloads;
    },
  };
}

function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "proxy-admin-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

const loopback = { listen: [address("127.0.0.1:0")] };
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("on loopback everybody reads, and only who has the token changes anything", async (t) => {
  const running = await admin(t, { ...loopback, token: "right" });
  for (const path of ["/healthz", "/readyz", "/status", "/metrics"]) {
    t.is((await requestAdmin(running.at, path)).status, 200, path);
    t.is((await requestAdmin(running.at, path, { method: "POST" })).status, 405, path);
  }
  const refused = await requestAdmin(running.at, "/reload", { method: "POST" });
  t.like(refused, { status: 401, headers: { "www-authenticate": "Bearer" } });
  for (const wrong of ["wrong", "right2", "righ", "RIGHT"]) {
    t.is((await requestAdmin(running.at, "/reload", { method: "POST", ...bearer(wrong) })).status, 401, wrong);
  }
  t.is((await requestAdmin(running.at, "/reload", bearer("right"))).status, 405, "a command is not read");
  t.is(running.reloads, 0);
  t.is((await requestAdmin(running.at, "/reload", { method: "POST", ...bearer("right") })).status, 200);
  t.is(running.reloads, 1);
});

test("without a token nobody changes anything over an address, whatever they present", async (t) => {
  const running = await admin(t, loopback);
  for (const token of ["undefined", "", "null"]) {
    t.is((await requestAdmin(running.at, "/reload", { method: "POST", ...bearer(token) })).status, 401);
  }
  t.is(running.reloads, 0);
});

test("over the socket commands need no token", async (t) => {
  const running = await admin(t, { socket: join(directory(t), "admin.sock"), token: "right" });
  t.is((await requestAdmin(running.at, "/reload", { method: "POST" })).status, 200);
  t.is(running.reloads, 1);
});

test("a page that rebound its own name to this address reads nothing", async (t) => {
  const running = await admin(t, { ...loopback, token: "right" });
  const { port } = new URL(`http://${running.at}`);
  const withHost = async (host: string) => (await requestAdmin(running.at, "/status", { headers: { host } })).status;
  for (const host of [
    "evil.example.com",
    `evil.example.com:${port}`,
    "localhost.evil.example.com",
    "127.0.0.1.nip.io",
  ]) {
    t.is(await withHost(host), 421, host);
  }
  for (const host of [`127.0.0.1:${port}`, "localhost", `LOCALHOST:${port}`, `[::1]:${port}`, "::1"]) {
    t.is(await withHost(host), host === "::1" ? 421 : 200, host);
  }
  const command = { method: "POST", headers: { ...bearer("right").headers, host: "evil.example.com" } };
  t.is((await requestAdmin(running.at, "/reload", command)).status, 421);
  const absolute = await requestAdmin(running.at, "http://evil.example.com/status");
  t.is(absolute.status, 404);
  t.is(running.reloads, 0);
});

test("a browser on another site changes nothing, even with the token", async (t) => {
  const running = await admin(t, { ...loopback, token: "right" });
  for (const origin of ["http://evil.example.com", "null", "http://localhost:1"]) {
    const headers = { ...bearer("right").headers, origin };
    t.is((await requestAdmin(running.at, "/reload", { method: "POST", headers })).status, 403, origin);
  }
  const own = { ...bearer("right").headers, origin: `http://${running.at}` };
  t.is((await requestAdmin(running.at, "/reload", { method: "POST", headers: own })).status, 200);
  t.is(running.reloads, 1);
});

test("an address that other machines can reach is refused without a token, and nothing stays open", async (t) => {
  for (const host of ["0.0.0.0", "[::]", "192.0.2.1", "edge.example.com", "128.0.0.1"]) {
    const listen = [address("127.0.0.1:0"), address(`${host}:0`)];
    const error = await t.throwsAsync(admin(t, { listen }));
    t.like(error, { code: "settings_invalid" });
    t.regex(error!.message, /^admin\.listen .* can be reached from other machines: it needs admin\.token$/);
  }
  for (const host of ["127.0.0.1", "127.255.0.1", "localhost"]) {
    await t.notThrowsAsync(admin(t, { listen: [address(`${host}:0`)] }), host);
  }
});

test("off loopback everything needs the token, and then any name is good", async (t) => {
  const running = await admin(t, { listen: [address("0.0.0.0:0")], token: "right" });
  const at = `127.0.0.1:${running.at.split(":")[1]}`;
  for (const path of ["/healthz", "/readyz", "/status", "/metrics", "/nothing"]) {
    t.is((await requestAdmin(at, path)).status, 401, path);
  }
  const headers = { ...bearer("right").headers, host: "edge-1.example.com:4436" };
  t.is((await requestAdmin(at, "/metrics", { headers })).status, 200);
});

test("several addresses and the socket are served side by side", async (t) => {
  const socket = join(directory(t), "admin.sock");
  const listen = [address("127.0.0.1:0"), address("127.0.0.2:0"), address("127.0.0.1:0")];
  const running = await admin(t, { listen, socket });
  t.is(new Set(running.addresses).size, 4);
  for (const at of running.addresses) t.is((await requestAdmin(at, "/healthz")).status, 200, at);
});

test("the socket is its owner's alone, in a directory that is made for it", async (t) => {
  const socket = join(directory(t), "run", "admin.sock");
  const before = process.umask(0);
  try {
    await admin(t, { socket });
  } finally {
    process.umask(before);
  }
  t.is(statSync(socket).mode & 0o777, 0o600);
  t.is(statSync(join(socket, "..")).mode & 0o777, 0o700);
});

test("a socket left over by a killed process is replaced, one that is served is not", async (t) => {
  const socket = join(directory(t), "admin.sock");
  const script = 'require("net").createServer().listen(process.argv[1], () => console.log("up"))';
  const child = spawn(process.execPath, ["-e", script, socket], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const error = await t.throwsAsync(admin(t, { socket }));
  t.like(error, { code: "address_in_use", message: `admin.socket ${socket}: another process answers there` });

  child.kill("SIGKILL");
  await once(child, "close");
  t.true(existsSync(socket));
  const running = await admin(t, { socket });
  t.is((await requestAdmin(running.at, "/healthz")).status, 200);
});

test("a file named as the socket by mistake is not deleted", async (t) => {
  const socket = join(directory(t), "precious.txt");
  writeFileSync(socket, "precious");
  const error = await t.throwsAsync(admin(t, { socket }));
  t.like(error, { code: "address_unavailable" });
  t.is(readFileSync(socket, "utf8"), "precious");
});

test("where one address of several is taken, the others are closed again", async (t) => {
  const first = await admin(t, loopback);
  const socket = join(directory(t), "admin.sock");
  const error = await t.throwsAsync(admin(t, { listen: [address("127.0.0.1:0"), address(first.at)], socket }));
  t.like(error, { code: "address_in_use" });
  t.false(existsSync(socket));
});

function raw(at: string): Socket {
  const [host, port] = at.split(":");
  return connect({ host: host!, port: Number(port) }).on("error", () => {});
}

test("whoever sends nothing, or a request byte by byte, is closed in time", async (t) => {
  const running = await admin(t, { ...loopback, idleMs: 300 });
  const silent = raw(running.at);
  const slow = raw(running.at);
  slow.write("GET /status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  const drip = setInterval(() => slow.write("x"), 50);
  const began = performance.now();
  const [, answered] = await Promise.all([untilClosed(silent), untilClosed(slow)]);
  clearInterval(drip);
  t.regex(answered.toString(), /^HTTP\/1\.1 408 /);
  t.true(performance.now() - began < 5000);
});

test("what is too large or is no HTTP is refused and closed", async (t) => {
  const running = await admin(t, loopback);
  const said = (text: string | Buffer) => {
    const socket = raw(running.at);
    socket.write(text);
    return untilClosed(socket);
  };
  const headers = `GET /status HTTP/1.1\r\nHost: localhost\r\nX-Large: ${"x".repeat(100_000)}\r\n\r\n`;
  t.regex((await said(headers)).toString(), /^HTTP\/1\.1 431 /);
  t.regex((await said(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1]))).toString(), /^HTTP\/1\.1 400 /);
  t.regex((await said("GET /status HTTP/1.1\r\n\r\n")).toString(), /^HTTP\/1\.1 400 /);
  t.regex((await said("GET /status HTTP/1.0\r\n\r\n")).toString(), /^HTTP\/1\.1 421 /);
  t.regex((await said("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n")).toString(), /^$/);

  const endless = raw(running.at);
  endless.write("POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
  endless.on("drain", () => endless.write(chunk));
  for (let at = 0; at < 4; at++) endless.write(chunk);
  await untilClosed(endless);
  t.is(running.reloads, 0);
  t.is((await requestAdmin(running.at, "/healthz")).status, 200);
});

test("idle connections lock nobody out: the oldest gives way", async (t) => {
  const running = await admin(t, loopback);
  const idle = Array.from({ length: 200 }, () => raw(running.at));
  await Promise.all(idle.map((socket) => once(socket, "connect")));
  const closed = untilClosed(idle[0]!);
  t.is((await requestAdmin(running.at, "/healthz")).status, 200);
  await closed;
  for (const socket of idle) socket.destroy();
});
