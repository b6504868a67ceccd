import "./obey-faults.js";
import "../../src/private/worker.js";
