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
