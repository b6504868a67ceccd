import { bulk } from "./bulk.js";
import type { BenchCase } from "./case.js";
import { connections } from "./connections.js";
import { firstByte } from "./first-byte.js";
import { growth } from "./growth.js";
import { idle } from "./idle.js";
import { messages } from "./messages.js";
import { tls } from "./tls.js";

export const cases: readonly BenchCase[] = [bulk, connections, messages, idle, firstByte, tls, growth];
