import Module from "node:module";
import test from "ava";
import { chooseEngine } from "../../src/transport/choose-engine.js";

interface Loader {
  _load(request: string, ...rest: unknown[]): unknown;
}

const loader = Module as unknown as Loader;
const load = loader._load;

/** As on a machine where the optional package was not installed. */
function withoutKoffi(): void {
  loader._load = (request, ...rest) => {
    if (request !== "koffi") return load.call(Module, request, ...rest);
    throw Object.assign(new Error("Cannot find module 'koffi'"), { code: "MODULE_NOT_FOUND" });
  };
}

test.before(withoutKoffi);
test.after.always(() => {
  loader._load = load;
});

const onLinux = process.platform === "linux" ? test : test.skip;

onLinux("without koffi auto takes Node's sockets, and says why", async (t) => {
  t.deepEqual(await chooseEngine("auto"), {
    engine: "node",
    why: "epoll does not work here: the package koffi is not installed",
  });
});

onLinux("without koffi epoll is refused where the settings ask for it, with what is missing", async (t) => {
  await t.throwsAsync(chooseEngine("epoll"), {
    code: "engine_unavailable",
    message: "the package koffi is not installed",
  });
});

test("the node engine is taken untried where the settings say so", async (t) => {
  t.is((await chooseEngine("node")).engine, "node");
});
