import { encodeRecord, encodeRecords } from "../unit/tls-sni-encoder.js";
import type { Random } from "./random.js";

type Mutation = (bytes: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer;

/** Lengths and types on which parsers go wrong. */
const edges = [0, 1, 2, 3, 4, 0x16, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];

const flipBit: Mutation = (bytes, random) => {
  const at = random.below(bytes.length);
  bytes[at] = bytes[at]! ^ (1 << random.below(8));
  return bytes;
};

const setEdge: Mutation = (bytes, random) => {
  bytes[random.below(bytes.length)] = random.pick(edges);
  return bytes;
};

/** Changes two bytes as one number by a little: what makes a length wrong by one. */
const nudgeLength: Mutation = (bytes, random) => {
  const at = random.below(Math.max(1, bytes.length - 1));
  if (at + 2 <= bytes.length) bytes.writeUInt16BE((bytes.readUInt16BE(at) + random.below(9) - 4) & 0xffff, at);
  return bytes;
};

const truncate: Mutation = (bytes, random) => bytes.subarray(0, random.below(bytes.length) + 1);

const remove: Mutation = (bytes, random) => {
  const at = random.below(bytes.length);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8))]);
};

/** Repeats a stretch in place: doubles extensions, names, records. */
const repeat: Mutation = (bytes, random) => {
  const from = random.below(bytes.length);
  const to = Math.min(bytes.length, from + 1 + random.below(64));
  return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
};

const crossOver: Mutation = (bytes, random, corpus) => {
  const other = random.pick(corpus);
  return Buffer.concat([bytes.subarray(0, random.below(bytes.length)), other.subarray(random.below(other.length))]);
};

/** Wraps what lies behind the first record header anew, in records of other sizes, so that the record layer is right. */
const rewrap: Mutation = (bytes, random) => {
  if (bytes.length <= 5) return bytes;
  return encodeRecords(bytes.subarray(5), [1 + random.below(8), 1 + random.below(2000), 1 + random.below(40)]);
};

/** Makes the lengths of record, message and extension block right again, so that a mutation further in is reached. */
const mendLengths: Mutation = (bytes) => {
  const message = Buffer.from(bytes.subarray(5, 5 + 16_384));
  if (message.length < 40) return bytes;
  message.writeUIntBE(message.length - 4, 1, 3);
  let at = 4 + 34;
  at += 1 + message[at]!;
  if (at + 2 <= message.length) at += 2 + message.readUInt16BE(at);
  if (at < message.length) at += 1 + message[at]!;
  if (at + 2 <= message.length) message.writeUInt16BE(message.length - at - 2, at);
  return encodeRecord(message);
};

const inject: Mutation = (bytes, random) => {
  const at = random.below(bytes.length);
  const piece = Buffer.from(Array.from({ length: 1 + random.below(12) }, () => random.pick(edges)));
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
};

const mutations = [
  flipBit,
  setEdge,
  nudgeLength,
  truncate,
  remove,
  repeat,
  crossOver,
  rewrap,
  mendLengths,
  mendLengths,
  inject,
];

/** One of the corpus after one to six mutations. Never empty; the corpus is not changed. */
export function mutate(corpus: readonly Buffer[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(random.pick(corpus));
  for (let left = 1 + random.below(6); left > 0; left--) {
    bytes = random.pick(mutations)(bytes, random, corpus);
    if (bytes.length === 0) return Buffer.of(random.below(256));
  }
  return bytes;
}
