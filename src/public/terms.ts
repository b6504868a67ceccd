/** Which clients of its names an announcement is for. */
export interface Terms {
  readonly alpn: readonly string[];
  /** Its share beside others: twice the weight, twice as many clients. Above zero. */
  readonly weight: number;
  /** Clients go to the lowest number that can take them. */
  readonly priority: number;
}

export function sameTerms(a: Terms, b: Terms): boolean {
  return (
    a.weight === b.weight &&
    a.priority === b.priority &&
    a.alpn.length === b.alpn.length &&
    a.alpn.every((protocol, at) => protocol === b.alpn[at])
  );
}
