import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { CounterTotals } from "../base/counters.js";

export interface MetricsSource {
  counters(): CounterTotals;
  attachments(): number;
  announcements(): number;
  pooledDialBacks(): number;
}

export interface Metrics {
  /** The text exposition of everything, and its content type. */
  expose(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/**
 * The data path only counts into shared memory; the figures are copied into prom-client when somebody asks. No label
 * comes from the network: reasons are a closed set.
 */
export function createMetrics(source: MetricsSource): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });

  counter("proxy_connections_opened_total", "Connections accepted.", () => source.counters().opened);
  counter("proxy_connections_closed_total", "Connections that have ended.", () => source.counters().closed);
  gauge("proxy_connections_live", "Connections open now.", () => {
    const { opened, closed } = source.counters();
    return opened - closed;
  });
  new Counter({
    name: "proxy_bytes_total",
    help: "Bytes moved; up is towards the internal server.",
    labelNames: ["direction"],
    registers: [registry],
    collect() {
      const { bytesUp, bytesDown } = source.counters();
      this.reset();
      this.inc({ direction: "up" }, bytesUp);
      this.inc({ direction: "down" }, bytesDown);
    },
  });
  new Counter({
    name: "proxy_refused_total",
    help: "Connections, dial-backs and attachments refused, by reason.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(source.counters().refused)) this.inc({ reason }, count);
    },
  });
  gauge("proxy_attachments", "Mesh links that are up.", source.attachments);
  gauge("proxy_announcements", "Server-name patterns announced and accepted.", source.announcements);
  gauge("proxy_pooled_dialbacks", "Dial-backs parked in advance.", source.pooledDialBacks);

  return {
    expose: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
