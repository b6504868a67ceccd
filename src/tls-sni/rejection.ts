import type { ReasonCode } from "../base/reasons.js";

/** Every way a reader can refuse what it was fed: codes of the one table of reasons, which also names their alerts. */
export type HelloRejection = Extract<
  ReasonCode,
  | "not_tls"
  | "not_tls_http"
  | "not_tls_ssh"
  | "not_tls_rdp"
  | "not_tls_proxy_header"
  | "not_tls_sslv2"
  | "not_client_hello"
  | "record_too_long"
  | "hello_malformed"
  | "hello_too_large"
  | "hello_contradictory"
  | "server_name_invalid"
>;
