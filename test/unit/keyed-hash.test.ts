import test from "ava";
import { keyedHash } from "../../src/base/keyed-hash.js";

test("the fingerprints are those of the reference HalfSipHash-2-4", (t) => {
  // Published with the algorithm: the key is the bytes 0 to 7, the inputs are the first 0, 1, 2 ... bytes of 0, 1, 2 ...
  const published = [
    "218d1f59b9b83cc8",
    "be552412f8387315",
    "064f39ef7c50eb57",
    "ce0f1a45f7060679",
    "d5e78a175be52ea1",
    "cb9d7c3f2f3db580",
    "ce3e91358aa2bc25",
    "ff202728b07bc684",
    "edfee820bce4858c",
    "5b51cccc13888307",
  ];
  const key = new Int32Array([0x03020100, 0x07060504]);
  const output = new Int32Array(2);
  for (const [length, wanted] of published.entries()) {
    keyedHash(
      key,
      Uint8Array.from({ length }, (_, i) => i),
      output,
    );
    const bytes = Buffer.alloc(8);
    bytes.writeInt32LE(output[0]!, 0);
    bytes.writeInt32LE(output[1]!, 4);
    t.is(bytes.toString("hex"), wanted, `${length} bytes`);
  }
});
