import type { ToPrivateDataPlane } from "./messages.js";

/** What the control plane has told its data planes so far, for one that starts later. */
export interface Replay {
  note(message: ToPrivateDataPlane): void;
  messages(): ToPrivateDataPlane[];
}

export function createReplay(): Replay {
  let configure: ToPrivateDataPlane | undefined;
  let targets: ToPrivateDataPlane | undefined;
  const attached = new Map<string, ToPrivateDataPlane>();
  return {
    note(message) {
      if (message.type === "configure") configure = message;
      else if (message.type === "targets") targets = message;
      else if (message.type === "attached") attached.set(message.session, message);
      else if (message.type === "detached") attached.delete(message.session);
    },
    messages: () => [configure, targets, ...attached.values()].filter((message) => message !== undefined),
  };
}
