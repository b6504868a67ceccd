import "./obey-faults.js";
import "../../src/public/worker.js";
