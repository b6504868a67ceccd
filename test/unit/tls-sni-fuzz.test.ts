import test from "ava";
import { fuzzHellos } from "../fuzz/hello.js";

test("mutated hellos end in one of the three results, the same however they are cut", (t) => {
  const { inputs, results, failures } = fuzzHellos({ seed: 20_080_800, inputs: 1500 });
  t.deepEqual(failures, []);
  t.is(inputs, 1500);
  for (const result of ["hello", "more", "hello_malformed", "hello_contradictory", "server_name_invalid"]) {
    t.true((results[result] ?? 0) > 0, `no input was ${result}`);
  }
});

test("a fuzzer run can be repeated from its seed", (t) => {
  t.deepEqual(fuzzHellos({ seed: 7, inputs: 100 }), fuzzHellos({ seed: 7, inputs: 100 }));
});
