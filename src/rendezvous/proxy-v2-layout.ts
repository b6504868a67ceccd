/**
 * Where things stand in a version 2 header (PROXY protocol section 2.2):
 *
 *     offset  bytes  field
 *          0     12  signature
 *         12      1  version 2 (high four bits), command (low four bits)
 *         13      1  address family, transport
 *         14      2  how many bytes follow: addresses, then TLVs
 *         16      …  addresses, as the family has them
 *          …      …  TLVs: type (1), length (2), value
 */
export const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

export const commandBytes = { local: 0x20, proxy: 0x21 } as const;

export const fixedBytes = 16;
export const tlvHeaderBytes = 3;

export interface FamilyLayout {
  /** The two addresses (and ports) in the header. */
  readonly addressBytes: number;
  /** Set where the addresses are those of a TCP connection. */
  readonly family?: "ipv4" | "ipv6";
}

export const familyBytes = { unspec: 0x00, ipv4: 0x11, ipv6: 0x21 } as const;

/** Every pair of family and transport that the protocol knows; section 2.2 wants connections with others dropped. */
export const familyLayouts: ReadonlyMap<number, FamilyLayout> = new Map([
  [familyBytes.unspec, { addressBytes: 0 }],
  [familyBytes.ipv4, { addressBytes: 12, family: "ipv4" }],
  [0x12, { addressBytes: 12 }],
  [familyBytes.ipv6, { addressBytes: 36, family: "ipv6" }],
  [0x22, { addressBytes: 36 }],
  [0x31, { addressBytes: 216 }],
  [0x32, { addressBytes: 216 }],
]);

/** TLV types of section 2.2; 0xe0 is the first of those left to applications. */
export const tlvTypes = { authority: 0x02, crc32c: 0x03, uniqueId: 0x05, announcementId: 0xe0 } as const;

/** Section 2.2.5. */
export const maxUniqueIdBytes = 128;
