import { join } from "node:path";
import { type Address, formatAddress } from "../base/address.js";
import { messageOf } from "../base/errors.js";
import type { Log } from "../base/log.js";
import type { PublicSettings } from "../settings/types.js";
import { adoptPassed } from "../transport/epoll/adopt-passed.js";
import { loadLibc } from "../transport/epoll/libc.js";
import { bindForWorkers, type WorkerListeners } from "../transport/epoll/worker-listeners.js";
import type { InheritedListener, ListeningUse } from "../transport/inherited.js";
import type { PassedSocket } from "../transport/passed-sockets.js";
import { findPredecessor, type Predecessor } from "./predecessor.js";
import { openStateDirectory } from "./state-directory.js";
import { awaitSuccessor, type SuccessorDoor, type SuccessorOptions } from "./successor.js";

const socketName = "take-over.sock";

/** Listening sockets as they come from elsewhere and go elsewhere. */
export interface Sockets {
  /** What other processes have opened. It is for whoever listens. */
  readonly inherited: readonly InheritedListener[];
  /** The process that serves so far. */
  readonly predecessor: Predecessor | undefined;
  /** Whether another process may take over later. */
  readonly handsOver: boolean;
  /** Bound here where they may be handed over; nothing where the mesh server is to bind. */
  readonly mesh: Pick<WorkerListeners, "inheritable" | "handedOver">;
  awaitSuccessor(options: Omit<SuccessorOptions, "path" | "log">): Promise<void>;
  close(): void;
}

/**
 * Takes what the service manager has passed, and asks the process that runs, if one does. Throws `settings_invalid` where
 * what was passed does not fit the settings, or the state directory is open to others; `address_in_use`.
 */
export async function openSockets(
  settings: PublicSettings,
  passed: readonly PassedSocket[],
  log: Log,
): Promise<Sockets> {
  const { directory } = settings.state;
  const { admin } = settings;
  const listens: Record<ListeningUse, readonly Address[]> = {
    tls: settings.tls.listen,
    rendezvous: settings.rendezvous.listen,
    mesh: settings.mesh.listen,
    admin: [
      ...(admin.listen ?? []),
      ...(admin.socket === undefined ? [] : [{ kind: "unix", path: admin.socket } as const]),
    ],
  };
  const ofManager = await adoptPassed(passed, listens);
  if (directory !== undefined) openStateDirectory(directory);
  const path = directory !== undefined && canHandOver(log) ? join(directory, socketName) : undefined;
  const predecessor = path === undefined ? undefined : await findPredecessor(path, settings.name);
  const inherited = [...ofManager, ...usable(predecessor?.listeners ?? [], ofManager, listens)];
  const isOurs = path !== undefined || inherited.some(({ use }) => use === "mesh");
  const mesh = isOurs ? await bindForWorkers(1, { mesh: listens.mesh }, inherited) : undefined;
  let door: SuccessorDoor | undefined;
  return {
    inherited,
    predecessor,
    handsOver: path !== undefined,
    mesh: { inheritable: mesh?.inheritable ?? [], handedOver: () => mesh?.handedOver() },
    async awaitSuccessor(options) {
      if (path !== undefined) door = await awaitSuccessor({ ...options, path, log });
    },
    close() {
      predecessor?.abandon();
      door?.close();
      for (const { closed } of mesh?.byWorker[0] ?? []) closed();
    },
  };
}

/** What is not stated in the settings any more, or was passed by the service manager besides, is closed here. */
function usable(
  listeners: readonly InheritedListener[],
  ofManager: readonly InheritedListener[],
  listens: Readonly<Record<ListeningUse, readonly Address[]>>,
): InheritedListener[] {
  const isUsable = ({ use, address }: InheritedListener) =>
    !ofManager.some((one) => one.use === use) &&
    listens[use].some((wanted) => formatAddress(wanted) === formatAddress(address));
  for (const { descriptor } of listeners.filter((one) => !isUsable(one))) loadLibc().close(descriptor);
  return listeners.filter(isUsable);
}

function canHandOver(log: Log): boolean {
  try {
    loadLibc();
    return true;
  } catch (error) {
    log.warn({ why: messageOf(error) }, "state.directory: another process cannot take over from this one");
    return false;
  }
}
