import type { Request } from 'express';
import { type Attachment, composeMessage } from '../compose-message.ts';
import { withMailbox } from './mail-client.ts';
import type { Draft } from './pages.ts';
import { isTokenOf } from './sessions.ts';
import type { Site, Visitor } from './site.ts';

/**
 * `stale`: the form does not belong to this session, because the session is newer or because another site sent the
 * form. Like `refused`, it is not sent, and the draft goes back into the form.
 */
export type SendOutcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'stale' | 'refused'; readonly draft: Draft; readonly problem: string };

const staleProblem = 'Not sent: you were signed in anew while you wrote. Choose your files again, and send.';

/** Sends the message of a multipart form, and keeps a copy in Sent. */
export async function sendDraft(site: Site, request: Request, { session, key }: Visitor): Promise<SendOutcome> {
  const form = await formOf(request);
  const draft = { to: textIn(form, 'to'), subject: textIn(form, 'subject'), text: textIn(form, 'text') };
  if (!isTokenOf(session, form.get('token'))) return { kind: 'stale', draft, problem: staleProblem };
  const recipients = recipientsIn(draft.to);
  if (recipients.length === 0) return { kind: 'refused', draft, problem: 'Name at least one recipient.' };
  const message = composeMessage({
    from: { address: key.user },
    to: recipients.map((address) => ({ address })),
    subject: draft.subject,
    date: new Date(),
    text: draft.text,
    attachments: await attachmentsIn(form),
  });
  const unknown = await site.deliver(recipients, message);
  if (unknown.length > 0) return { kind: 'refused', draft, problem: `Nobody here is called ${unknown.join(', ')}.` };
  await withMailbox(site.imap, key, (client) => client.append('Sent', message, ['\\Seen']));
  return { kind: 'sent' };
}

/** The form of a request; an empty one, without a token, if it has none. */
async function formOf(request: Request): Promise<FormData> {
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body)) return new FormData();
  const headers = { 'content-type': request.headers['content-type'] ?? '' };
  try {
    return await new Response(new Uint8Array(body), { headers }).formData();
  } catch {
    return new FormData();
  }
}

function textIn(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}

/** The addresses in a field such as `Bob <bob@example.test>, alice@example.test`, in lower case, each once. */
function recipientsIn(field: string): readonly string[] {
  const addresses = field.toLowerCase().match(/[^\s<>,;"]+@[^\s<>,;"]+/g) ?? [];
  return [...new Set(addresses)];
}

async function attachmentsIn(form: FormData): Promise<readonly Attachment[]> {
  // A browser sends one nameless file if none was chosen.
  const files = form.getAll('files').filter((value) => value instanceof File);
  return Promise.all(files.filter((file) => file.name !== '').map(attachmentOf));
}

async function attachmentOf(file: File): Promise<Attachment> {
  return { filename: file.name, type: file.type, content: Buffer.from(await file.arrayBuffer()) };
}
