import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { composeMessage } from '../../demo/compose-message.ts';
import { parseArguments } from '../../demo/imap/command.ts';
import { ImapSyntaxError } from '../../demo/imap/input.ts';
import { fieldOf, parseMime } from '../../demo/imap/mime.ts';
import { envelopeOf, structureOf } from '../../demo/imap/structure.ts';
import { html } from '../../demo/webmail/html.ts';
import { textOfHtml } from '../../demo/webmail/text-of-html.ts';

/** A server's answer as a client splits it: literals are buffers between the lines. */
function withLiterals(text: string): (string | Buffer)[] {
  const opening = /\{(\d+)\}\r\n/.exec(text);
  if (opening === null) return [text];
  const literalAt = opening.index + opening[0].length;
  const end = literalAt + Number(opening[1]);
  return [
    text.slice(0, opening.index),
    Buffer.from(text.slice(literalAt, end), 'latin1'),
    ...withLiterals(text.slice(end)),
  ];
}

/** Text that sometimes looks like mail. */
const mailLike = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\r\n',
        '\r\n\r\n',
        '--b',
        '--b--',
        'Content-Type: multipart/mixed; boundary=b',
        ' "\\',
        'From: "a <b',
      ),
      fc.constantFrom(
        'Content-Type: message/rfc822',
        'Content-Disposition: ;;=x',
        '<',
        '>',
        '(',
        '{3}',
        'a@b, <c@d>',
        ',',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => Buffer.from(pieces.join('')));

test('whatever a message is, its envelope and structure are balanced lists', () => {
  fc.assert(
    fc.property(mailLike, (source) => {
      const part = parseMime(source);
      for (const text of [envelopeOf(part), structureOf(part, true), structureOf(part, false)]) {
        const [list, ...more] = parseArguments(withLiterals(text));
        assert.equal(list?.kind, 'list');
        assert.deepEqual(more, []);
      }
    }),
  );
});

test('whatever a client sends, arguments are parsed or refused as a syntax error', () => {
  const pieces = fc.array(fc.constantFrom('a', ' ', '(', ')', '"', '\\', '[', ']', '{', '<1.2>', 'BODY[', '%', '*'));
  fc.assert(
    fc.property(pieces, (sent) => {
      try {
        assert.ok(Array.isArray(parseArguments([sent.join('')])));
      } catch (error) {
        assert.ok(error instanceof ImapSyntaxError);
      }
    }),
  );
});

test('no name, address, subject or file name begins a field of its own', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 120 }).map((each) => `x${each}\r\nInjected: yes`);
  fc.assert(
    fc.property(text, text, (subject, name) => {
      const source = composeMessage({
        from: { name, address: `a@example.test${name}` },
        to: [{ name, address: 'b@example.test' }],
        subject,
        date: new Date(0),
        text: subject,
        attachments: [{ filename: name, type: name, content: Buffer.from(subject) }],
      });
      const message = parseMime(source);
      for (const part of [message, ...message.children]) assert.equal(fieldOf(part.fields, 'injected'), undefined);
      assert.equal(message.children.length, 2);
      assert.ok(
        source
          .toString('latin1')
          .split('\r\n')
          .every((line) => /^[\x20-\x7e]{0,998}$/.test(line)),
      );
      const attached = Buffer.from(message.children[1]?.body.toString('latin1') ?? '', 'base64');
      assert.equal(attached.toString(), subject);
    }),
  );
});

test('whatever is put into a template comes out as text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const { markup } = html`<p title="${text}">${text}</p>`;
      const inside = markup.slice('<p title="'.length, -'</p>'.length);
      assert.match(inside, /^[^<>"]*">[^<>"]*$/);
    }),
  );
});

const shown: readonly (readonly [markup: string, text: string])[] = [
  ['<h1>Title</h1><p>one\n two</p><p>three</p>', 'Title\n\none two\n\nthree'],
  ['<head><title>no</title></head>yes<style>p{}</style>', 'yes'],
  ['<script>if (a<b) alert(1)</script>yes', 'yes'],
  ['<ul><li>a</li><li>b</li></ul>c', '• a\n• b\n\nc'],
  ['a<br>b&lt;i&gt;&amp;&unknown;', 'a\nb<i>&&unknown;'],
  ['a < b <b', 'a < b <b'],
];

for (const [markup, text] of shown) {
  test(`the HTML ${JSON.stringify(markup)} is shown as ${JSON.stringify(text)}`, () => {
    assert.equal(textOfHtml(markup), text);
  });
}
