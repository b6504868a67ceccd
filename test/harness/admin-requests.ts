import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { type Address, isAddress, parseAddress } from "../../src/base/address.js";

export interface AdminAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request to an admin endpoint, at an address as it is printed. */
export async function requestAdmin(
  address: string,
  path: string,
  { method = "GET", headers = {}, body = "" }: Request = {},
): Promise<AdminAnswer> {
  const at = parseAddress(address) as Address;
  if (!isAddress(at)) throw new Error(`${address} is no address`);
  const where = at.kind === "unix" ? { socketPath: at.path } : { host: at.host, port: at.port };
  const sent = request({ ...where, path, method, headers, agent: false }).end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, text: await text(response) };
}

/** The samples of a text exposition, by name and labels. */
export function samplesOf(exposition: string): ReadonlyMap<string, number> {
  const lines = exposition.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}
