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

test.serial("what needs no data plane is told at once", (t) => {
  const { force, marks, told, tell } = inForce();
  force.tellAfter(false, tell("denied"));
  t.deepEqual([told, marks], [["denied"], []]);
});

const roundOver = () => new Promise((resolve) => setImmediate(resolve));

test.serial("what was accepted is told when the data planes have it, and nothing overtakes it", async (t) => {
  const { force, marks, told, tell } = inForce();
  force.tellAfter(true, tell("accepted"));
  force.tellAfter(false, tell("denied since"));
  t.deepEqual(marks, []);
  await roundOver();
  t.deepEqual([told, marks], [[], [1]]);
  force.tellAfter(true, tell("accepted again"));
  await roundOver();
  t.deepEqual([told, marks], [[], [1, 2]]);
  force.reached(1);
  t.deepEqual(told, ["accepted", "denied since"]);
  force.reached(2);
  t.deepEqual(told, ["accepted", "denied since", "accepted again"]);
});

test.serial("announcements of one round share a mark, and are told in their order", async (t) => {
  const { force, marks, told, tell } = inForce();
  for (const name of ["a", "b", "c"]) force.tellAfter(true, tell(name));
  await roundOver();
  t.deepEqual([told, marks], [[], [1]]);
  force.reached(1);
  t.deepEqual(told, ["a", "b", "c"]);
});

test.serial("a data plane that never answers keeps nobody waiting for longer than a second", (t) => {
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
