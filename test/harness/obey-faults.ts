import { BroadcastChannel, workerData } from "node:worker_threads";
import { faultChannel, type PlantedFault } from "./planted-faults.js";

// Imported by a worker's entry before its real one, so that a worker that is ready obeys.

const channel = new BroadcastChannel(faultChannel);
channel.onmessage = (event: unknown) => {
  const { worker, what } = (event as { data: PlantedFault }).data;
  if (worker !== (workerData as { worker: number }).worker) return;
  if (what === "throw") throw new Error("planted fault");
  for (;;);
};
(channel as BroadcastChannel & { unref(): void }).unref();
