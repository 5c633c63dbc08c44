import { inspect } from 'node:util';
import type { EventName, Log } from '../src/core/log.ts';
import { logEvents } from '../src/core/log-events.ts';

/** What the demo shows in its terminal: texts that stay, and a last line that changes. */
export interface Screen {
  say(text: string): void;
  /** Replaces the last line. Where output is no terminal, each new one is a line of its own. */
  setStatus(line: string): void;
  /** Warnings and errors of the gateway; the rest stays untold. */
  readonly log: Log;
}

/** As much of a terminal or file as a screen needs. */
interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
  on(event: 'error', listener: () => void): unknown;
}

const eraseLine = '\r\u001B[K';

/** `complain` takes the log where the output is no terminal. */
export function createScreen(output: Output, complain: (text: string) => void): Screen {
  let status = '';
  output.on('error', () => undefined); // of `| head`: nobody reads on, and the demo goes on
  const say = (text: string): void => {
    output.write(output.isTTY === true ? `${eraseLine}${text}${status}` : text);
  };
  const tell = (level: string, event: EventName, fields: object = {}): void =>
    (output.isTTY === true ? say : complain)(
      `${level}: ${logEvents[event].message} ${inspect(fields, { breakLength: 160 })}\n`,
    );
  return {
    say,
    setStatus(line) {
      if (line === status) return;
      status = line;
      if (output.isTTY === true) output.write(eraseLine + line);
      else if (line !== '') output.write(`${line}\n`);
    },
    log: {
      debug() {},
      info() {},
      warn: (event, fields) => tell('warning', event, fields),
      error: (event, fields) => tell('error', event, fields),
    },
  };
}
