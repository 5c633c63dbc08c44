import { createHash } from 'node:crypto';
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { Clock } from '../core/clock.ts';
import { explainFailure } from '../core/connection-failure.ts';
import { PosternError } from '../core/error.ts';
import { clientNetwork } from '../core/ip-networks.ts';
import type { Log } from '../core/log.ts';
import { defined } from '../core/objects.ts';
import type { Secret } from '../core/secrets.ts';
import { createWaitingRoom, type Wait } from './limits.ts';
import { type Admission, crowdsOf, type Penalty, type PenaltyAttempt } from './penalty.ts';

/** The policy server, as `login.policy` describes it. */
export interface PolicyServer {
  /** `command=allow` or `command=report` is appended: after `?`, or as it is if the URL ends with `&`. */
  readonly url: string;
  /** The header that proves who asks. */
  readonly apiKey?: { readonly name: string; readonly value: Secret };
  readonly hashNonce: Secret;
  readonly hashMech: string;
  /** How many bits of the hash are sent; 0: all. */
  readonly hashTruncate: number;
  readonly timeoutMs: number;
  /** No answer delays a login longer. */
  readonly maxDelayMs: number;
  /** Whether logins go on or are refused while the server cannot be asked. */
  readonly whenUnavailable: 'allow' | 'refuse';
  /** CA certificates instead of those of the system. */
  readonly ca?: string;
  /** Whether clients use TLS. */
  readonly isTls: boolean;
}

/** Dependencies of createPolicedPenalty. */
export interface PolicyDeps {
  readonly penalty: Penalty;
  readonly isExempt: (address: string) => boolean;
  readonly clock: Clock;
  readonly wait: Wait;
  readonly log: Log;
  /** Told of each delay, for the metrics. */
  readonly delayed: (ms: number) => void;
}

/** A policy server's answer. `status`: -1 refuses, 0 lets go on, a higher one delays by as many seconds. */
interface PolicyVerdict {
  readonly status: number;
  /** For operators; at most 200 characters. */
  readonly message: string;
}

type PolicyOpinion =
  | { readonly kind: 'allowed'; readonly waitedMs: number }
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'busy' };

/** The questions and delays that are open at once; the rules are those of the penalty's waiting room. */
const openLimits = { inAll: 1_000, perNetwork: 50 };
/** As many connections as Dovecot opens. */
const maxPolicyConnections = 100;
const maxReports = 500;
const idleMs = 10_000;
const maxVerdictBytes = 64 * 1024;
const maxMessageChars = 200;
const maxDeviceChars = 500;
/** After so many questions in a row without any answer, the server is left alone for a time. */
const silencesBeforePause = 3;
const pauseMs = 5_000;
const policyAlarmEveryMs = 60_000;

/**
 * A penalty that also asks a policy server such as weakforced, by the protocol of Dovecot's `auth_policy_` settings: it
 * asks before the penalty, and reports each verdict on a password. Nobody waits for reports. A refused login counts as a
 * wrong password, and its password is not tried.
 *
 * A silent server is asked by one login every 5 s, after three others got no answer; the rest do as
 * `whenUnavailable` says at once.
 */
export function createPolicedPenalty(server: PolicyServer, deps: PolicyDeps): Penalty {
  return new PolicedPenalty(server, deps);
}

class PolicedPenalty implements Penalty {
  readonly #server: PolicyServer;
  readonly #deps: PolicyDeps;
  readonly #send: PolicySender;
  readonly #room = createWaitingRoom(openLimits);
  #silences = 0;
  #pausedUntilMs = 0;
  #alarmedAtMs = Number.NEGATIVE_INFINITY;
  #reports = 0;

  constructor(server: PolicyServer, deps: PolicyDeps) {
    this.#server = server;
    this.#deps = deps;
    this.#send = createPolicySender(server);
  }

  async admit(attempt: PenaltyAttempt, signal: AbortSignal): Promise<Admission> {
    const opinion = await this.#opinion(attempt, signal);
    if (opinion.kind === 'busy') return opinion;
    const admission = await this.#deps.penalty.admit(attempt, signal);
    if (admission.kind !== 'admitted') return admission;
    if (opinion.kind === 'refused') {
      this.#report(attempt, { success: false, policy_reject: true });
      await admission.settle('wrong');
      const said = opinion.message === '' ? undefined : { text: opinion.message };
      return { kind: 'refused', waitedMs: admission.waitedMs, ...defined({ said }) };
    }
    let isReported = false;
    return {
      kind: 'admitted',
      waitedMs: opinion.waitedMs + admission.waitedMs,
      settle: async (verdict) => {
        // What no server could say is neither a success nor a failure.
        const isVerdict = verdict === 'right' || verdict === 'wrong';
        if (isVerdict && !isReported) this.#report(attempt, { success: verdict === 'right', policy_reject: false });
        isReported = true;
        await admission.settle(verdict);
      },
    };
  }

  /** Asks, and waits for the delay that the server wants. */
  async #opinion(attempt: PenaltyAttempt, signal: AbortSignal): Promise<PolicyOpinion> {
    const { user, address } = attempt;
    const { isExempt, delayed } = this.#deps;
    const network = isExempt(address) ? undefined : clientNetwork(address);
    const place = this.#room.enter({ from: crowdsOf(user, address, isExempt), network, delayMs: 0 });
    if (place === undefined) return { kind: 'busy' };
    const left = AbortSignal.any([signal, place.givenUp]);
    try {
      const verdict = await this.#ask(attempt, left);
      if (verdict === undefined) return { kind: 'allowed', waitedMs: 0 };
      if (verdict.status < 0) return { kind: 'refused', message: verdict.message };
      const waitedMs = Math.min(verdict.status * 1000, this.#server.maxDelayMs);
      delayed(waitedMs);
      if (waitedMs > 0) await this.#deps.wait(waitedMs, left);
      return { kind: 'allowed', waitedMs };
    } catch (error) {
      if (place.givenUp.aborted && !signal.aborted) return { kind: 'busy' };
      throw error;
    } finally {
      place.leave();
    }
  }

  /** Undefined if the server cannot be asked and logins go on then. */
  async #ask(attempt: PenaltyAttempt, left: AbortSignal): Promise<PolicyVerdict | undefined> {
    try {
      if (this.#isPaused()) throw new PolicyError('it is silent, and asked again every 5 s');
      const body = policyRequest(this.#server, attempt);
      const verdict = parseVerdict(await this.#send('allow', body, left));
      this.#heard();
      return verdict;
    } catch (error) {
      left.throwIfAborted();
      this.#failed('allow', error);
      if (this.#server.whenUnavailable === 'allow') return undefined;
      throw error;
    }
  }

  #report(attempt: PenaltyAttempt, outcome: PolicyOutcome): void {
    if (this.#reports >= maxReports || this.#isPaused()) {
      this.#failed('report', new PolicyError('reports are dropped, because it does not answer'));
      return;
    }
    this.#reports += 1;
    this.#send('report', policyRequest(this.#server, attempt, outcome), new AbortController().signal)
      .then(() => this.#heard())
      .catch((error: unknown) => this.#failed('report', error))
      .finally(() => {
        this.#reports -= 1;
      });
  }

  /** Whether the server is left alone now. When a pause ends, one caller asks; the others go on as before. */
  #isPaused(): boolean {
    if (this.#silences < silencesBeforePause) return false;
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs < this.#pausedUntilMs) return true;
    this.#pausedUntilMs = nowMs + this.#server.timeoutMs;
    return false;
  }

  #heard(): void {
    this.#silences = 0;
  }

  #failed(command: PolicyCommand, error: unknown): void {
    const nowMs = this.#deps.clock.nowMs();
    if (error instanceof PolicyError && error.isSilence) {
      this.#silences += 1;
      if (this.#silences >= silencesBeforePause) this.#pausedUntilMs = nowMs + pauseMs;
    }
    if (nowMs - this.#alarmedAtMs < policyAlarmEveryMs) return;
    this.#alarmedAtMs = nowMs;
    const detail = error instanceof Error ? error.message : String(error);
    const code = 'ERR_POLICY_UNAVAILABLE';
    this.#deps.log.error('policy-unavailable', { code, detail, method: command, result: this.#server.whenUnavailable });
  }
}

type PolicyCommand = 'allow' | 'report';

interface PolicyOutcome {
  readonly success: boolean;
  readonly policy_reject: boolean;
}

/**
 * The body of a request: the attributes of Dovecot 2.3, in its order. The device is the browser or program, as
 * weakforced reads it for the protocol `http`.
 */
function policyRequest(
  server: Pick<PolicyServer, 'hashMech' | 'hashNonce' | 'hashTruncate' | 'isTls'>,
  { user, address, password, userAgent = '', reference = '' }: PenaltyAttempt,
  outcome?: PolicyOutcome,
): string {
  return JSON.stringify({
    device_id: userAgent.slice(0, maxDeviceChars).toWellFormed(),
    login: user,
    protocol: 'http',
    pwhash: passwordHash(server, user, password),
    remote: address,
    session_id: reference,
    ...outcome,
    tls: server.isTls,
  });
}

/** Dovecot's hash of nonce, user, NUL and password: its first bits, shifted to the right. */
function passwordHash(
  { hashMech, hashNonce, hashTruncate }: Pick<PolicyServer, 'hashMech' | 'hashNonce' | 'hashTruncate'>,
  user: string,
  password: Secret,
): string {
  const digest = createHash(hashMech).update(`${hashNonce.reveal()}${user}\0${password.reveal()}`).digest();
  if (hashTruncate === 0 || hashTruncate >= digest.length * 8) return digest.toString('hex');
  const bytes = Math.ceil(hashTruncate / 8);
  const bits = BigInt(`0x${digest.subarray(0, bytes).toString('hex')}`) >> BigInt(bytes * 8 - hashTruncate);
  return bits.toString(16).padStart(bytes * 2, '0');
}

/** Throws if the answer is no JSON object with an integer `status`. */
function parseVerdict(answer: string): PolicyVerdict {
  let said: unknown;
  try {
    said = JSON.parse(answer);
  } catch {
    throw new PolicyError('its answer is not JSON');
  }
  if (typeof said !== 'object' || said === null || !('status' in said) || !Number.isInteger(said.status))
    throw new PolicyError('its answer has no number in status');
  const message = 'msg' in said && typeof said.msg === 'string' ? said.msg : '';
  return { status: Number(said.status), message: message.slice(0, maxMessageChars).toWellFormed() };
}

/** Asks the policy server about a login by nobody; for checks. Rejects if the answer is none of the protocol. */
export async function tryPolicyServer(server: PolicyServer, nobody: PenaltyAttempt): Promise<PolicyVerdict> {
  const body = policyRequest(server, nobody);
  return parseVerdict(await createPolicySender(server)('allow', body, new AbortController().signal));
}

/** Resolves with the body of the answer. Rejects with ERR_POLICY_UNAVAILABLE, or when the signal is aborted. */
type PolicySender = (command: PolicyCommand, body: string, signal: AbortSignal) => Promise<string>;

/** Kept connections, no redirects, one time limit for all of a request. Idle connections keep no process alive. */
function createPolicySender(server: PolicyServer): PolicySender {
  const limits = { keepAlive: true, maxSockets: maxPolicyConnections, timeout: idleMs };
  const secure = server.url.startsWith('https:');
  const agent = secure ? new HttpsAgent({ ...limits, ...defined({ ca: server.ca }) }) : new HttpAgent(limits);
  const { apiKey } = server;
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'postern/auth-policy-client',
    ...(apiKey === undefined ? {} : { [apiKey.name]: apiKey.value.reveal() }),
  };

  function open(
    command: PolicyCommand,
    body: string,
    signal: AbortSignal,
    isSecondTry = false,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const url = `${server.url}${server.url.endsWith('&') ? '' : '?'}command=${command}`;
    const length = { 'content-length': String(Buffer.byteLength(body)) };
    const options: RequestOptions = { method: 'POST', headers: { ...headers, ...length }, agent, signal };
    const request = secure ? requestHttps(url, options, resolve) : requestHttp(url, options, resolve);
    request.on('error', (error) => {
      // The server closed a kept connection just then, most likely before it saw this request. Asked once more.
      const isStale = request.reusedSocket && !isSecondTry && !signal.aborted;
      if (isStale) resolve(open(command, body, signal, true));
      else reject(error);
    });
    request.end(body);
    return promise;
  }

  return async (command, body, signal) => {
    const timeout = AbortSignal.timeout(server.timeoutMs);
    const all = AbortSignal.any([signal, timeout]);
    try {
      const response = await open(command, body, all);
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 209) {
        response.destroy();
        throw new PolicyError(`it answers ${status}${status === 401 ? ': is login.policy.api_key right?' : ''}`);
      }
      return await readPolicyAnswer(response);
    } catch (error) {
      signal.throwIfAborted();
      const late = `it did not answer within ${server.timeoutMs} ms`;
      if (timeout.aborted) throw new PolicyError(late, { isSilence: true, cause: error });
      if (error instanceof PolicyError) throw error;
      throw new PolicyError(explainFailure(error), { isSilence: true, cause: error });
    }
  };
}

/** The whole body. Leaving the loop early closes the connection. */
async function readPolicyAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError('a body comes in buffers');
    size += chunk.length;
    if (size > maxVerdictBytes) throw new PolicyError(`its answer is larger than ${maxVerdictBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** No answer, or one that cannot be used. */
class PolicyError extends PosternError {
  /** Whether no answer came at all. */
  readonly isSilence: boolean;

  constructor(why: string, { isSilence = false, cause }: { isSilence?: boolean; cause?: unknown } = {}) {
    const message = `the policy server (login.policy.url) could not be asked: ${why}`;
    super('ERR_POLICY_UNAVAILABLE', message, { source: 'policy', retryable: true, cause });
    this.isSilence = isSilence;
  }
}
