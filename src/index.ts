/** For programs that embed a proxy instead of running the command. */
export { createLog, type Log, silentLog } from "./base/log.js";
export { type PrivateProxy, startPrivateProxy } from "./private/proxy.js";
export { type PublicProxy, startPublicProxy } from "./public/proxy.js";
export { loadPrivateSettings, loadPublicSettings } from "./settings/load.js";
