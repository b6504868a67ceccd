import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Composer, type CST, type Document, LineCounter, type ParsedNode, Parser, type YAMLError } from "yaml";
import { systemProblem } from "./path-kinds.js";
import type { Place, Placed, Reading } from "./place.js";
import { placeValues } from "./place-values.js";

/** Far beyond any settings written by hand or by a program; keeps a wrong path from filling the memory. */
const maxFileBytes = 4 * 1024 * 1024;
/** Settings need six levels. The composer of yaml recurses, and hostile nesting would end the process. */
const maxDepth = 64;

/**
 * Reads one YAML or JSON file (JSON is read as the subset of YAML that it is, so it has positions too). Undefined where
 * problems were reported that leave nothing to look at; an empty file is a map without keys.
 */
export function readSettingsFile(file: string, reading: Reading): Placed | undefined {
  const whole: Place = { key: "", file, directory: dirname(resolve(file)) };
  const source = readSource(file, (problem) => reading.report(whole, problem));
  if (source === undefined) return undefined;

  const lines = new LineCounter();
  const at = (offset: number): Pick<Required<Place>, "line" | "column"> => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const tokens = [...new Parser(lines.addNewLine).parse(source)];
  if (deeperThan(maxDepth, tokens)) {
    reading.report(whole, `the values are nested too deeply, at most ${maxDepth} levels are allowed`);
    return undefined;
  }
  const composer = new Composer({ lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const [document, more] = [...composer.compose(tokens, true, source.length)] as Document.Parsed<ParsedNode>[];
  if (document === undefined) return undefined;
  const faults: YAMLError[] = [...document.errors, ...document.warnings];
  for (const fault of faults) reading.report({ ...whole, ...at(fault.pos[0]) }, syntaxProblem(fault, source));
  if (more !== undefined) {
    reading.report({ ...whole, ...at(more.range[0]) }, "a second document begins here, a file holds one");
  }
  if (faults.length > 0 || more !== undefined) return undefined;
  return placeValues(document.contents, { whole, at, reading });
}

function readSource(file: string, report: (problem: string) => void): string | undefined {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) report("this is not a file");
    else if (stat.size > maxFileBytes) report(`the file has ${stat.size} bytes, at most ${maxFileBytes} are allowed`);
    else return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    report(error instanceof TypeError ? "the file is not UTF-8 text" : systemProblem(error));
  }
  return undefined;
}

function deeperThan(limit: number, tokens: readonly CST.Token[]): boolean {
  const open: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > limit) return true;
    if (token.type === "document" && token.value) open.push({ token: token.value, depth });
    if (!("items" in token)) continue;
    for (const { key, value } of token.items) {
      if (key) open.push({ token: key, depth: depth + 1 });
      if (value) open.push({ token: value, depth: depth + 1 });
    }
  }
  return false;
}

/** The parser's own words, but for the slips that patterns and addresses invite. */
function syntaxProblem({ code, message, pos }: YAMLError, source: string): string {
  if (code === "BAD_ALIAS") return "YAML takes an asterisk for an alias, put the text in quotes";
  if (code === "TAG_RESOLVE_FAILED") return "YAML tags (!) are not allowed here, put the text in quotes";
  if (code === "UNEXPECTED_TOKEN" && source[pos[0]] === ":") return "an address that begins with [ is put in quotes";
  return `this is not valid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}
