// Preloaded by a node whose network a test cuts: since the last SIGUSR2, connections to the port in the file are refused.
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';

let closed = '';
const { value: connect } = Object.getOwnPropertyDescriptor(Socket.prototype, 'connect');
Socket.prototype.connect = function (...args) {
  // The arguments of net.connect come as one array.
  const [first] = args.flat();
  if (String(first?.port) !== closed) return connect.apply(this, args);
  // Nothing listens on port 1.
  return connect.call(this, { ...first, port: 1 });
};
process.on('SIGUSR2', () => {
  closed = readFileSync(process.env.POSTERN_TEST_FIREWALL, 'utf8');
  process.stdout.write('"the firewall was set"\n');
});
