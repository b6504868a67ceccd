import { deadlineIn } from "../../src/base/deadline.js";
import { messageOf } from "../../src/base/errors.js";
import { bootWorker, type PassedEndpoint } from "../../src/transport/epoll/boot.js";

// A worker without a role: it connects, gives what it has connected to any owner, and takes what it is given.

export type ToGivingWorker =
  | { readonly type: "connect" }
  | { readonly type: "give"; readonly owner: number }
  | { readonly type: "passed"; readonly passed: PassedEndpoint }
  | { readonly type: "die" };

export type FromGivingWorker =
  | { readonly type: "connected" }
  | { readonly type: "given"; readonly passed: PassedEndpoint }
  | { readonly type: "taken" }
  | { readonly type: "fault"; readonly message: string };

await bootWorker<{ readonly port: number }, ToGivingWorker, FromGivingWorker>(
  ({ role, transport, port }) => {
    let connected: Awaited<ReturnType<typeof transport.connect>["connected"]> | undefined;
    port.receive((message) => {
      if (message.type === "connect") {
        const address = { kind: "tcp", ip: "127.0.0.1", port: role.port } as const;
        void transport.connect(address, deadlineIn(5000, "connect_timeout")).connected.then((endpoint) => {
          connected = endpoint;
          port.post({ type: "connected" });
        });
      } else if (message.type === "give") {
        const handed = transport.handOver(connected!, message.owner)!;
        port.post({ type: "given", passed: { ...handed, owner: message.owner } });
      } else if (message.type === "passed") port.post({ type: "taken" });
      else
        queueMicrotask(() => {
          throw new Error("told to die");
        });
    });
  },
  (port, error) => port.post({ type: "fault", message: messageOf(error) }),
);
