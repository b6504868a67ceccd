import { BroadcastChannel } from "node:worker_threads";

/** What a worker of a test is told to do, by a channel that exists in tests only. */
export interface PlantedFault {
  readonly worker: number;
  readonly what: "throw" | "hang";
}

export const faultChannel = "planted-faults";

/** Every proxy of this process is hit whose workers have one of these entries, and this number. */
export function plantFault(fault: PlantedFault): void {
  const channel = new BroadcastChannel(faultChannel);
  channel.postMessage(fault);
  channel.close();
}

export const obedientEntries = {
  public: new URL("./obedient-public-worker.js", import.meta.url),
  private: new URL("./obedient-private-worker.js", import.meta.url),
} as const;
