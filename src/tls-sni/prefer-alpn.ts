/**
 * Which of the values of one pattern may serve a hello that offers these protocols. Those with an `alpn` that names one of
 * them, and only those where there are any; else those without `alpn`. A value whose `alpn` names none of them never
 * serves: where the result is empty, the next less specific pattern is to be asked. Keeps the order.
 */
export function preferAlpn<T extends { readonly alpn: readonly string[] }>(
  values: Iterable<T>,
  offered: readonly string[],
): T[] {
  const chosen: T[] = [];
  const indifferent: T[] = [];
  for (const value of values) {
    if (value.alpn.length === 0) indifferent.push(value);
    else if (value.alpn.some((protocol) => offered.includes(protocol))) chosen.push(value);
  }
  return chosen.length > 0 ? chosen : indifferent;
}
