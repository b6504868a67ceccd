/**
 * Writes a hello in one record as hex, a line for each field, with the field's name behind it. It walks the bytes on its
 * own, so that a fixture shows what is in it whatever the reader thinks. What it cannot follow becomes plain hex lines.
 */
export function annotateHello(bytes: Uint8Array): string {
  const lines: string[] = [];
  let at = 0;
  const field = (length: number, name: string) => {
    hexLines(bytes.subarray(at, at + length)).forEach((hex, i) => {
      lines.push(i === 0 ? `${hex}  # ${name}` : hex);
    });
    at += length;
  };
  const u8 = () => bytes[at] ?? 0;
  const u16 = (from: number) => ((bytes[from] ?? 0) << 8) | (bytes[from + 1] ?? 0);

  const end = 5 + u16(3);
  if (bytes[0] === 22 && end <= bytes.length && bytes[5] === 1) {
    field(5, "record: handshake");
    field(4, "ClientHello, length");
    field(2, "legacy_version");
    field(32, "random");
    field(1 + u8(), "legacy_session_id");
    field(2 + u16(at), "cipher_suites");
    field(1 + u8(), "legacy_compression_methods");
    if (at < end) field(2, "extensions, length");
    while (at + 4 <= end) field(4 + u16(at + 2), extensionName(u16(at)));
  }
  if (at < bytes.length) field(bytes.length - at, at === 0 ? "bytes" : "what the client sent behind the hello");
  return `${lines.join("\n")}\n`;
}

function hexLines(bytes: Uint8Array): string[] {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 32) lines.push(Buffer.from(bytes.subarray(at, at + 32)).toString("hex"));
  return lines;
}

const names: Readonly<Record<number, string>> = {
  0: "server_name",
  5: "status_request",
  10: "supported_groups",
  11: "ec_point_formats",
  13: "signature_algorithms",
  16: "application_layer_protocol_negotiation",
  18: "signed_certificate_timestamp",
  21: "padding",
  22: "encrypt_then_mac",
  23: "extended_master_secret",
  27: "compress_certificate",
  28: "record_size_limit",
  34: "delegated_credential",
  35: "session_ticket",
  41: "pre_shared_key",
  42: "early_data",
  43: "supported_versions",
  45: "psk_key_exchange_modes",
  49: "post_handshake_auth",
  50: "signature_algorithms_cert",
  51: "key_share",
  17513: "application_settings (old)",
  17613: "application_settings",
  65037: "encrypted_client_hello",
  65281: "renegotiation_info",
};

function extensionName(type: number): string {
  if ((type & 0x0f0f) === 0x0a0a && type >> 8 === (type & 0xff)) return `extension ${type} (GREASE)`;
  return names[type] ?? `extension ${type}`;
}
