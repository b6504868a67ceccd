import { mock } from "node:test";
import test from "ava";
import { createInForce } from "../../src/public/in-force.js";

test.before(() => mock.timers.enable({ apis: ["setTimeout"] }));
test.after.always(() => mock.timers.reset());

function inForce() {
  const marks: number[] = [];
  const told: string[] = [];
  const force = createInForce((mark) => marks.push(mark));
  return { force, marks, told, tell: (what: string) => () => void told.push(what) };
}

test("what needs no data plane is told at once", (t) => {
  const { force, marks, told, tell } = inForce();
  force.tellAfter(false, tell("denied"));
  t.deepEqual([told, marks], [["denied"], []]);
});

test("what was accepted is told when the data planes have it, and nothing overtakes it", (t) => {
  const { force, marks, told, tell } = inForce();
  force.tellAfter(true, tell("accepted"));
  force.tellAfter(false, tell("denied since"));
  force.tellAfter(true, tell("accepted again"));
  t.deepEqual([told, marks], [[], [1, 2]]);
  force.reached(1);
  t.deepEqual(told, ["accepted", "denied since"]);
  force.reached(2);
  t.deepEqual(told, ["accepted", "denied since", "accepted again"]);
});

test("a data plane that never answers keeps nobody waiting for longer than a second", (t) => {
  const { force, told, tell } = inForce();
  force.tellAfter(true, tell("accepted"));
  mock.timers.tick(999);
  t.deepEqual(told, []);
  mock.timers.tick(1);
  t.deepEqual(told, ["accepted"]);
  force.reached(1);
  force.tellAfter(false, tell("at once"));
  t.deepEqual(told, ["accepted", "at once"]);
  force.tellAfter(true, tell("never"));
  force.close();
  mock.timers.tick(10_000);
  t.is(told.length, 2);
});
