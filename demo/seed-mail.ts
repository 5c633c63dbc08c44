import { composeMessage, type NewMessage } from './compose-message.ts';
import { alice, bob, greta, type Person } from './people.ts';

interface Seed extends Omit<NewMessage, 'from' | 'to' | 'date' | 'text'> {
  readonly from: Person;
  readonly to: Person;
  readonly text?: string;
  readonly hoursAgo: number;
  readonly seen?: boolean;
}

const rotaCsv = 'week,oven,counter\r\n46,Bob,Greta\r\n47,Greta,Bob\r\n48,Bob,Alice\r\n';

const seeds: readonly Seed[] = [
  {
    from: bob,
    to: alice,
    hoursAgo: 75,
    seen: true,
    subject: 'Welcome to the new mail',
    text: `Hello Alice,

your mailbox now lives on backend a, mine on backend b. You will not notice: there is one address and one sign-in
for all of us. Look at the bottom of this page if you want to know where you are.

Answer me, and see it arrive on the other side.

Bob
`,
  },
  {
    from: greta,
    to: alice,
    hoursAgo: 50,
    seen: true,
    subject: 'Grüße aus Köln – schöne Fotos folgen',
    text: `Liebe Alice,

der Zug war pünktlich, das Wetter scheußlich, und der Dom ist noch größer als früher. Übermorgen fahre ich weiter
nach Düsseldorf. Die Fotos schicke ich, sobald ich wieder richtiges Netz habe.

Viele Grüße
Greta
`,
  },
  {
    from: bob,
    to: alice,
    hoursAgo: 26,
    subject: 'Rota for the next three weeks',
    text: `Hi Alice,

the rota is attached. You are only on it once, in week 48. Tell me by Friday if that does not suit you.

Bob
`,
    attachments: [{ filename: 'rota week 46–48.csv', type: 'text/csv', content: Buffer.from(rotaCsv) }],
  },
  {
    from: greta,
    to: alice,
    hoursAgo: 3,
    subject: 'Newsletter: five loaves for winter',
    html: `<html><head><style>h1 { color: #7a4b1e }</style></head><body>
<h1>Five loaves for winter</h1>
<p>Rye, spelt, walnut, potato, and <b>the one with the figs</b>.</p>
<ul><li>Rye: two days of patience</li><li>Spelt: one evening</li><li>Figs: as many as you dare</li></ul>
<p>This message is HTML. The demo webmail shows it as text.</p>
</body></html>
`,
  },
  {
    from: alice,
    to: bob,
    hoursAgo: 74,
    seen: true,
    subject: 'Re: Welcome to the new mail',
    text: `Bob,

this is odd: I typed the same address as yesterday, and here I am on another machine. I like it.

Alice
`,
  },
  {
    from: greta,
    to: bob,
    hoursAgo: 20,
    subject: 'Schlüssel für den Ofenraum',
    text: `Hallo Bob,

der Schlüssel liegt beim Nachbarn. Bitte bis Donnerstag zurückbringen, danach bin ich für eine Woche weg.

Gruß
Greta
`,
  },
  {
    from: alice,
    to: bob,
    hoursAgo: 2,
    subject: 'Invoice 2041',
    text: `Bob,

here is the invoice for the flour. It is due at the end of the month.

Alice
`,
    attachments: [
      {
        filename: 'invoice-2041.txt',
        type: 'text/plain',
        content: Buffer.from('Flour, 25 kg\t41.50\r\nTotal\t\t41.50\r\n'),
      },
    ],
  },
  {
    from: bob,
    to: greta,
    hoursAgo: 19,
    subject: 'Re: Schlüssel für den Ofenraum',
    text: `Hallo Greta,

danke, hole ich heute Abend ab. Gute Reise!

Bob
`,
  },
];

/** A message in a user's INBOX when the demo starts. */
export interface SeededMessage {
  readonly owner: Person;
  readonly source: Buffer;
  readonly flags: readonly string[];
  readonly date: Date;
}

/** The mail at the start of the demo, oldest first, dated back from `nowMs`. */
export function seededMail(nowMs: number): readonly SeededMessage[] {
  const oldestFirst = seeds.toSorted((one, other) => other.hoursAgo - one.hoursAgo);
  return oldestFirst.map(({ from, to, hoursAgo, seen, text = '', ...rest }) => {
    const date = new Date(nowMs - hoursAgo * 3_600_000);
    const source = composeMessage({ ...rest, text, from, to: [to], date });
    return { owner: to, source, flags: seen === true ? ['\\Seen'] : [], date };
  });
}
