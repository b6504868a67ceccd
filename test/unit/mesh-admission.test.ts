import { once } from "node:events";
import { connect as netConnect, type Socket } from "node:net";
import { mock } from "node:test";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import test, { type ExecutionContext } from "ava";
import { createMeshAdmission } from "../../src/mesh/admission.js";
import { type TestCertificates, testCertificates } from "../harness/certificates.js";
import { assertNothingLeft } from "../harness/leaks.js";
import { pemOf } from "../harness/mesh.js";

assertNothingLeft(test);

let certificates: TestCertificates;
test.before(async () => {
  certificates = await testCertificates();
});
test.after.always(() => certificates.remove());

/** An admission that listens on loopback, and what it says. */
async function admission(t: ExecutionContext) {
  const refusals: string[] = [];
  const admitted: TLSSocket[] = [];
  const gate = createMeshAdmission({
    pem: pemOf(certificates, "public-proxy-1"),
    admitted: (socket) => admitted.push(socket.on("error", () => {})),
    refused: (reason) => refusals.push(reason),
  });
  const port = Number((await gate.listen({ kind: "tcp", host: "127.0.0.1", port: 0 })).split(":")[1]);
  t.teardown(async () => {
    gate.stopListening();
    for (const socket of admitted) socket.destroy();
    await gate.closed();
  });
  return { gate, port, refusals, admitted };
}

function silent(port: number): Socket {
  return netConnect({ port, host: "127.0.0.1", allowHalfOpen: true })
    .on("error", () => {})
    .resume();
}

function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) =>
    socket.closed ? resolve() : socket.once("close", resolve).once("end", () => socket.destroy()),
  );
}

/** Looks once per round of the loop. */
async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((resolve) => setImmediate(resolve));
}

async function honest(port: number): Promise<TLSSocket> {
  const socket = tlsConnect({
    port,
    host: "127.0.0.1",
    servername: "localhost",
    ca: certificates.ca,
    ...certificates.pem("private-proxy-1"),
    ALPNProtocols: ["h2"],
  });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

test.serial("of too many unfinished handshakes the oldest gives way, and an honest peer still gets in", async (t) => {
  const { port, refusals } = await admission(t);
  // As many as may be under way, less than one address may open at once.
  const others = await Promise.all(
    Array.from({ length: 130 }, async (_, i) => {
      const sockets = [1, 2].map((n) =>
        netConnect({ port, host: "127.0.0.1", localAddress: `127.0.0.${n + 1}` })
          .on("error", () => {})
          .resume(),
      );
      await Promise.all(sockets.map((socket) => once(socket, "connect")));
      t.is(sockets.length, 2, String(i));
      return sockets;
    }),
  );
  const client = await honest(port);
  t.true(refusals.length >= 4);
  t.deepEqual(new Set(refusals), new Set(["mesh_crowded"]));
  client.destroy();
  for (const socket of others.flat()) socket.destroy();
});

test.serial("an address that connects too often is turned away, another is not", async (t) => {
  const { port, refusals } = await admission(t);
  const sockets = Array.from({ length: 230 }, () => silent(port));
  await Promise.race(sockets.map(gone));
  await until(() => refusals.includes("mesh_rate_limited"));
  const other = netConnect({ port, host: "127.0.0.1", localAddress: "127.0.0.9" }).on("error", () => {});
  await once(other, "connect");
  t.false(other.destroyed);
  other.destroy();
  for (const socket of sockets) socket.destroy();
});

test.serial("a handshake that is not finished in time is ended and told of once", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.teardown(() => mock.timers.reset());
  const { port, refusals, admitted } = await admission(t);
  const socket = silent(port);
  const client = await honest(port);
  // The client is done before the server is.
  await until(() => admitted.length === 1);
  mock.timers.tick(5001);
  await gone(socket);
  t.deepEqual(refusals, ["mesh_handshake_timeout"]);
  t.false(client.destroyed, "who has finished has time");
  client.destroy();
});

test.serial("a peer that leaves during its handshake is told of once", async (t) => {
  const { port, refusals } = await admission(t);
  const socket = silent(port);
  await once(socket, "connect");
  const client = await honest(port);
  socket.resetAndDestroy();
  await until(() => refusals.length > 0);
  t.deepEqual(refusals, ["mesh_handshake_failed"]);
  client.destroy();
});

test.serial("garbage is refused once", async (t) => {
  const { port, refusals } = await admission(t);
  const socket = silent(port);
  socket.write("GET / HTTP/1.1\r\n\r\n");
  await gone(socket);
  t.deepEqual(refusals, ["mesh_handshake_failed"]);
});

test.serial("closing drops unfinished handshakes without a word and leaves who was admitted alone", async (t) => {
  const { gate, port, refusals, admitted } = await admission(t);
  const socket = silent(port);
  await once(socket, "connect");
  const client = await honest(port);
  await until(() => admitted.length === 1);
  gate.stopListening();
  await gone(socket);
  t.deepEqual(refusals, []);
  t.is(admitted.length, 1);
  t.false(client.destroyed);
  client.destroy();
});
