import { encodingProblems, type EncodingProblem, whyUtf16 } from '../core/charset.ts';
import { openNamedFile } from '../core/named-files.ts';

const maxBytes = 1 << 20;

/** A file that people write, as text. What is no UTF-8 in it stands there as U+FFFD: see {@link encodingProblems}. */
interface SmallFile {
  readonly text: string;
  /** The lines that are no UTF-8 before a `#` that begins a comment. */
  readonly problems: readonly EncodingProblem[];
}

/** Reads a file of at most 1 MiB. Rejects with the file's name and what is wrong when it is larger, or UTF-16. */
export async function readSmallFile(file: string): Promise<SmallFile> {
  await using handle = await openNamedFile(file);
  const { size } = await handle.stat();
  if (size > maxBytes) throw new Error(`${file}: larger than 1 MiB`);
  const bytes = await handle.readFile();
  const utf16 = whyUtf16(bytes);
  if (utf16 !== undefined) throw new Error(`${file}: ${utf16}`);
  return { text: bytes.toString('utf8').replace(/^\ufeff/, ''), problems: encodingProblems(bytes, 1) };
}
