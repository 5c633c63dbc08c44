/** Users on the command line, or with `-` one per line on standard input. */
export async function* usersFrom(
  words: readonly string[],
  lines: () => AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  for (const word of words) {
    if (word !== '-') yield word;
    else for await (const line of lines()) if (line.trim() !== '') yield line;
  }
}

/**
 * Works on many items at once, at most `atOnce`, and yields what comes of them in the order of the items. Takes an item
 * only when there is room for it, so that a million of them need no memory.
 */
export async function* inOrder<Item, Outcome>(
  items: AsyncIterable<Item> | Iterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Outcome>,
): AsyncGenerator<Outcome, void, undefined> {
  const running: Promise<Outcome>[] = [];
  for await (const item of items) {
    const one = work(item);
    // Its turn to be looked at may come after another one has failed.
    one.catch(() => {});
    running.push(one);
    const [oldest] = running.length < atOnce ? [] : running.splice(0, 1);
    if (oldest !== undefined) yield oldest;
  }
  for (const one of running) yield one;
}
