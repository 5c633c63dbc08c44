import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Backend, BackendHost } from '../core/backend.ts';
import type { Ingress } from '../core/http.ts';
import type { Attachment } from '../core/session.ts';
import type { PageToken, WebmailDriver } from '../core/webmail.ts';
import type { Insertion } from './insertion.ts';
import type { IncomingHead } from './request-head.ts';
import type { UpstreamHead } from './response-headers.ts';
import type { Upload } from './upload.ts';

/** A request that was let in, and where it came in. */
export interface AdmittedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: IncomingHead;
  readonly ingress: Ingress;
}

/**
 * One request on its way to a backend: what the relay must know of it, and how its heads are rebuilt in both
 * directions. In whose name it goes, and what that means for cookies and credentials, is the passage's own business.
 */
export interface Passage extends AdmittedRequest {
  /** In whose name it goes. */
  readonly user: string;
  readonly backend: Backend;
  readonly host: BackendHost;
  /** Judges the answers. */
  readonly driver: Pick<WebmailDriver, 'judge' | 'judgeBody' | 'judgedBytes'>;
  /** Of the cookies that a request takes along now. */
  readonly generation: number;
  /** Ties what runs to what it must end with; call the returned function when it is done by itself. */
  attach(attachment: Attachment): () => void;
  /** What is written over the token of a form that an older page sends; see the driver's `pageToken`. */
  pageToken?(): PageToken | undefined;
  /** The request as undici sends it. `grown`: by how many bytes the body is longer than the client said. */
  outgoing(body: Upload | undefined, nowMs: number, grown?: number): Dispatcher.DispatchOptions;
  /**
   * The fields of the answer for the client, names and values in turn. `generation`: what the request took along;
   * nothing: the answer's cookies do not count.
   */
  answerFields(upstream: UpstreamHead, generation: number | undefined, nowMs: number): string[];
  /** What goes into the body of the answer whose fields were asked for last; nearly always nothing. */
  readonly insertion?: Insertion | undefined;
}

/** Further fields of a head, in order. */
export type Fields = readonly (readonly [name: string, value: string])[];
