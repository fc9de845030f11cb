/**
 * The symbols that match a query, those that begin with it first; otherwise in their own order. Case
 * does not count. Pure.
 */
export function matchingSymbols(symbols: readonly string[], query: string): readonly string[] {
  const wanted = query.trim().toUpperCase();
  if (wanted === "") return symbols;
  const begins: string[] = [];
  const contains: string[] = [];
  for (const symbol of symbols) {
    const at = symbol.toUpperCase().indexOf(wanted);
    if (at === 0) begins.push(symbol);
    else if (at > 0) contains.push(symbol);
  }
  return [...begins, ...contains];
}
