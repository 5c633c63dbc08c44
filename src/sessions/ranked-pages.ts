import { isRecordKey, type RecordKey } from '../core/names.ts';
import type { SessionPlace } from '../core/session.ts';

/** Reads members of a sorted set with their scores, by ranks that are counted from its end (-1), in rising order. */
type ReadRanks = (from: number, to: number) => Promise<readonly { readonly value: string; readonly score: number }[]>;

/**
 * Pages a sorted set of sessions, the highest score first, behind `after` if it is given. Members come and go meanwhile:
 * each that stays is yielded once.
 *
 * Ranks alone would skip those that move up when others end. So each page begins with the last member of the page
 * before; where that has gone, it begins further up. A Redis of version 6.0 cannot page a set downwards by score with
 * the commands that the documented permissions allow.
 */
export async function* rankedPages(
  read: ReadRanks,
  pageSize: number,
  after?: SessionPlace,
): AsyncIterable<readonly SessionPlace[]> {
  let from = after?.rank ?? 0;
  let step = Math.ceil(pageSize / 2);
  let last: Omit<SessionPlace, 'rank'> | undefined = after;
  for (;;) {
    const start = from;
    const members = await read(-start - pageSize, -start - 1);
    const places = members.toReversed().flatMap(({ value: key, score: at }, index) => {
      return isRecordKey(key) ? [{ at, key, rank: start + index }] : [];
    });
    const fresh = places.filter((place) => last === undefined || isBehind(place, last));
    if (start > 0 && fresh.length === places.length) {
      from = Math.max(0, start - step);
      // The rank may be anything: a caller gives it. So the way back is short also from far behind the end.
      step *= 2;
      continue;
    }
    step = Math.ceil(pageSize / 2);
    if (fresh.length > 0) yield fresh;
    if (members.length < pageSize) return;
    last = fresh.at(-1) ?? last;
    from += members.length - 1;
  }
}

/** Whether a place comes later than another. Redis sorts equal scores by their members. */
function isBehind(place: SessionPlace, other: { readonly at: number; readonly key: RecordKey }): boolean {
  return place.at < other.at || (place.at === other.at && place.key < other.key);
}
