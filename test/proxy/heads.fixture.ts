import { IncomingHead } from '../../src/proxy/request-head.ts';

/** A request's head from its parts; `fields` are names and values in turn. */
export function headOf(
  method: string,
  target: string,
  fields: readonly string[] = ['Host', 'mail.example.test'],
  httpVersion = '1.1',
): IncomingHead {
  return new IncomingHead({ method, url: target, httpVersion, rawHeaders: [...fields] });
}
