import type { Anchor } from './anchors.ts';
import {
  type ChainCheck,
  createChainCheck,
  type Finding,
  type OrderedFinding,
  type PlacedText,
  type Stray,
  unknownKeyFinding,
} from './chain-check.ts';
import { isGenuine, parseLine } from './line.ts';

/** The result of checking an audit: how much was read, and every finding. */
export interface Verification {
  readonly lines: number;
  readonly chains: number;
  readonly findings: readonly Finding[];
  /** Remarks for the auditor that do not point to tampering. */
  readonly notes: readonly string[];
}

/** Options of the audit check. */
export interface VerifyOptions {
  /** Returns the key with this id; undefined if there is none. */
  readonly keyOf: (id: string) => Buffer | undefined;
  /** The anchors of all known chains. */
  readonly anchors: readonly Anchor[];
  /** Whether the chain must be in these texts, rather than on another machine or in another file. */
  readonly belongsHere: (anchor: Anchor) => boolean;
  /** Whether files before the first text were removed on purpose, as rotation does. */
  readonly olderRemoved: boolean;
}

const lineStart = '{"time":"';
/** Further stray texts are not looked at: the audit is lost then anyway. */
const maxStrays = 10_000;

/**
 * Verifies the texts of an audit, oldest first, and reports the first thing wrong with each chain. Memory use does not
 * grow with the length of the audit.
 */
export async function verify(texts: AsyncIterable<PlacedText>, options: VerifyOptions): Promise<Verification> {
  const anchors = new Map(options.anchors.map((anchor) => [anchor.chain, anchor]));
  const checks = new Map<string, ChainCheck>();
  const strays: Stray[] = [];
  let order = 0;
  let oldestMs = Number.POSITIVE_INFINITY;
  const checkOf = (chain: string): ChainCheck => {
    const known = checks.get(chain) ?? createChainCheck(chain, anchors.get(chain), options.olderRemoved);
    checks.set(chain, known);
    return known;
  };
  for await (const { text, ...place } of texts) {
    order += 1;
    const line = parseLine(text);
    const secret = line === undefined ? undefined : options.keyOf(line.key);
    if (line !== undefined && secret !== undefined && isGenuine(line, { id: line.key, secret })) {
      oldestMs = Math.min(oldestMs, line.said.timeMs);
      checkOf(line.said.chain).take(line, place, order);
    } else if (strays.length < maxStrays) {
      const why = line === undefined ? whyNoLine(text) : secret === undefined ? 'unknown-key' : 'false';
      strays.push({ order, place, chain: line?.said.chain ?? chainIn(text), why });
    }
  }
  const notes: string[] = [];
  for (const anchor of anchors.values()) {
    const isRotatedAway = options.olderRemoved && anchor.timeMs < oldestMs && oldestMs !== Number.POSITIVE_INFINITY;
    if (checks.has(anchor.chain) || !options.belongsHere(anchor)) continue;
    if (isRotatedAway) notes.push(`chain ${anchor.chain} is older than these files`);
    else checkOf(anchor.chain);
  }
  const all = [...checks.values()];
  // A text that names a chain is first matched with a gap of that chain.
  for (const check of all) check.explain(strays, (stray) => stray.chain === check.chain);
  for (const check of all) check.explain(strays, ({ chain }) => chain === undefined || !checks.has(chain));
  const findings = [...all.flatMap((check) => check.finding() ?? []), ...appended(strays, checks)];
  for (const check of all) notes.push(...check.notes());
  for (const { place } of strays.filter(({ why }) => why === 'torn')) {
    notes.push(`${place.file}:${place.number} was cut off by a crash or a full disk; its action was refused`);
  }
  return { lines: order, chains: checks.size, findings: firstOfEach(findings), notes };
}

/** Texts that fill no gap were appended. */
function appended(strays: readonly Stray[], checks: ReadonlyMap<string, ChainCheck>): OrderedFinding[] {
  return strays
    .filter(({ why }) => why !== 'torn')
    .map(({ order, place, chain, why }) => {
      const known = chain !== undefined && checks.has(chain) ? { chain } : {};
      const kind =
        why === 'unknown-key'
          ? ({ damage: why, explanation: `${unknownKeyFinding}: was the key lost, or the line made up?` } as const)
          : ({ damage: 'appended', explanation: 'was not written by Postern, or was changed' } as const);
      return { order, finding: { ...kind, ...known, place } };
    });
}

/** Returns the first finding of each chain, and the first one outside any chain, in the order of the files. */
function firstOfEach(findings: readonly OrderedFinding[]): readonly Finding[] {
  const first = new Map<string, Finding>();
  for (const { finding } of findings.toSorted((a, b) => a.order - b.order)) {
    const key = finding.chain ?? '';
    if (!first.has(key)) first.set(key, finding);
  }
  return [...first.values()];
}

function whyNoLine(text: string): Stray['why'] {
  const begins = text.startsWith(lineStart) || lineStart.startsWith(text);
  return begins && !/"mac":"[\w-]{43}"\}$/.test(text) ? 'torn' : 'false';
}

function chainIn(text: string): string | undefined {
  return /"chain":"([0-9a-f]{16})"/.exec(text)?.[1];
}
