import { signInAt } from '../gateway/machines.fixture.ts';

/*
 * Signs users of the documented site in, for commands that need somebody with a session: node sign-in.ts USER...
 */
for (const user of process.argv.slice(2)) {
  const { landed } = await signInAt(`http://127.0.0.1:${process.env['PORT']}`, user);
  process.exitCode = landed.path.startsWith('/mail/') ? 0 : 1;
}
