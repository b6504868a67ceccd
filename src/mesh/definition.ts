import { fileURLToPath } from "node:url";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { ProtoGrpcType } from "./generated/mesh.js";

// dist/src/mesh/definition.js -> the package's root. proto/ is part of the package.
const protoPath = fileURLToPath(new URL("../../../proto/mesh.proto", import.meta.url));

// The options must be those with which the types in generated/ were made (Makefile, target `build`).
const definition = loadSync(protoPath, { longs: String, enums: String, oneofs: true, defaults: true });

export const { Mesh } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).rendezvous.v1;

/** A message that has been encoded before it comes here. */
export interface EncodedMessage {
  readonly encoded: Uint8Array;
}

const { Attach } = Mesh.service;

/** The service as the public proxy offers it: what is encoded already goes out as it is. */
export const meshService: typeof Mesh.service = {
  ...Mesh.service,
  Attach: {
    ...Attach,
    responseSerialize: (message) => {
      const { encoded } = message as Partial<EncodedMessage>;
      return encoded === undefined
        ? Attach.responseSerialize(message)
        : Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
    },
  },
};

/** The service's name in standard gRPC health checking. */
export const meshServiceName = "rendezvous.v1.Mesh";

/** The longest message that is received. 20,000 names of 253 bytes have room in one announcement. */
export const maxMessageBytes = 8 * 1024 * 1024;
