#!/usr/bin/env node
// Plain JavaScript of old: a Node that cannot run Postern must still be able to say so.
var major = Number(process.versions.node.split('.')[0]);
if (major >= 24) {
  import('../src/main.ts').catch(function (error) {
    process.stderr.write('This is a defect of Postern: ' + (error.stack || error) + '\n');
    process.exitCode = 70;
  });
} else {
  process.stderr.write(
    'Postern needs Node 24 or newer; this is Node ' +
      process.versions.node +
      '.\nIn a checkout, `npm run -s postern -- ARGUMENTS` runs it under the Node that npm ci brought along.\n',
  );
  process.exitCode = 2;
}
