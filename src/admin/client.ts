import { request } from "node:http";
import { messageOf, ProxyError } from "../base/errors.js";

/** Where a running proxy's admin endpoint is: `http://host:port`, or the path of its unix socket. */
export interface AdminTarget {
  readonly url: string | undefined;
  readonly socket: string | undefined;
  readonly token: string | undefined;
}

export interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
}

const timeoutMs = 10_000;

/** One request to a running proxy. Throws `connect_refused` or `connect_timeout`; an HTTP status is never thrown. */
export function askAdmin(target: AdminTarget, method: "GET" | "POST", path: string): Promise<AdminResponse> {
  const where = target.socket ?? target.url ?? "";
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...(target.socket !== undefined ? { socketPath: target.socket } : urlOptions(target.url ?? "")),
        method,
        path,
        timeout: timeoutMs,
        headers: target.token === undefined ? {} : { authorization: `Bearer ${target.token}` },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks).toString()) }),
        );
      },
    );
    call.on("timeout", () =>
      call.destroy(new ProxyError("connect_timeout", `${where} did not answer within ${timeoutMs} ms`)),
    );
    call.on("error", (cause) =>
      reject(
        cause instanceof ProxyError
          ? cause
          : new ProxyError("connect_refused", `no proxy answers at ${where}: ${messageOf(cause)}`, { cause }),
      ),
    );
    call.end();
  });
}

function urlOptions(url: string) {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? 80 : Number(port) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
