/** For programs that embed a proxy instead of running the command. */
export { startPrivateProxy } from "./private/proxy.js";
export { startPublicProxy } from "./public/proxy.js";
