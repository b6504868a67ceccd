import { ProxyError } from "../base/errors.js";
import { type ListeningUse, listeningUses } from "./inherited.js";

/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
const firstDescriptor = 3;
const mostDescriptors = 4096;

/** A socket that the service manager has opened for this process. */
export interface PassedSocket {
  readonly use: ListeningUse;
  readonly descriptor: number;
}

/**
 * Reads what `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` say (sd_listen_fds_with_names(3)), and takes it out of the
 * environment, for no child is meant. Empty where they are for another process or none. Throws `settings_invalid`.
 */
export function passedSockets(environment: NodeJS.ProcessEnv, pid: number): readonly PassedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  if (LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return [];
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete environment[name];
  const count = Number(LISTEN_FDS);
  if (!Number.isInteger(count) || count < 0 || count > mostDescriptors) {
    throw new ProxyError("settings_invalid", `LISTEN_FDS is ${LISTEN_FDS}, expected a number of sockets`);
  }
  const names = (LISTEN_FDNAMES ?? "").split(":");
  return Array.from({ length: count }, (_, at) => {
    const descriptor = firstDescriptor + at;
    const name = names[at] ?? "";
    const use = listeningUses.find((known) => known === name);
    if (use !== undefined) return { use, descriptor };
    const expected = listeningUses.join(", ");
    throw new ProxyError(
      "settings_invalid",
      `LISTEN_FDNAMES calls descriptor ${descriptor} "${name}", expected one of ${expected} (FileDescriptorName= in the socket unit)`,
    );
  });
}
