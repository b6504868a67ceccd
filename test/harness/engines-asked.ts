import { chooseEngine } from "../../src/transport/choose-engine.js";

export type EngineName = "epoll" | "node";

/** All that work here. */
export async function enginesHere(): Promise<readonly EngineName[]> {
  return (await chooseEngine("auto")).engine === "epoll" ? ["epoll", "node"] : ["node"];
}

/** The one that is named, or without a name all that work here. Undefined: there is none of that name. */
export async function enginesAsked(name: string): Promise<readonly EngineName[] | undefined> {
  if (name === "epoll" || name === "node") return [name];
  return name === "" ? enginesHere() : undefined;
}
