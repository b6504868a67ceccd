/** Host names are looked up again this often. */
const lookupIntervalMs = 10_000;

/** The host names of the targets, and the addresses they have now. */
export interface Hosts {
  /** Makes them these; what is new is looked up. */
  follow(names: ReadonlySet<string>): void;
  /** Empty where none is known. */
  ips(name: string): readonly string[];
  /** Whether the first look-up has ended, found or not. */
  lookedUp(name: string): boolean;
  close(): void;
}

export interface HostsOptions {
  /** All addresses of a host, empty where there is none. Never rejects, and takes no longer than a few seconds. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** A host has been looked up for the first time, or has other addresses than before. */
  readonly changed: () => void;
}

interface Host {
  ips: readonly string[];
  lookedUp: boolean;
  underWay: boolean;
}

export function createHosts({ lookup, changed }: HostsOptions): Hosts {
  const hosts = new Map<string, Host>();
  let open = true;

  /** An answer that is missing keeps the last one: a name server that is down must not take the target down with it. */
  async function ask(name: string, host: Host): Promise<void> {
    host.underWay = true;
    const ips = await lookup(name);
    host.underWay = false;
    const isFirst = !host.lookedUp;
    const isOther = ips.length > 0 && ips.join() !== host.ips.join();
    host.lookedUp = true;
    if (isOther) host.ips = ips;
    if (open && hosts.get(name) === host && (isFirst || isOther)) changed();
  }

  const timer = setInterval(() => {
    for (const [name, host] of hosts) if (!host.underWay) void ask(name, host);
  }, lookupIntervalMs);
  timer.unref();

  return {
    follow(names) {
      for (const name of hosts.keys()) if (!names.has(name)) hosts.delete(name);
      for (const name of names) {
        if (hosts.has(name)) continue;
        const host: Host = { ips: [], lookedUp: false, underWay: false };
        hosts.set(name, host);
        void ask(name, host);
      }
    },
    ips: (name) => hosts.get(name)?.ips ?? [],
    lookedUp: (name) => hosts.get(name)?.lookedUp ?? false,
    close() {
      open = false;
      clearInterval(timer);
    },
  };
}
