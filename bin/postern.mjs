#!/usr/bin/env node
// Plain JavaScript of old: a Node that cannot run Postern must still be able to say so.
import fs from 'fs';
import url from 'url';

function path(relative) {
  return url.fileURLToPath(new URL(relative, import.meta.url));
}

// A checkout has src. A package has lib, made from it: Node runs no TypeScript below node_modules.
var main = fs.existsSync(path('../src/main.ts')) ? '../src/main.ts' : '../lib/main.js';
// The Node that npm brought along, beside this package or below it.
var name = 'node-' + process.platform + '-' + process.arch + '/bin/node';
var brought = [path('../node_modules/' + name), path('../../' + name)].filter(fs.existsSync)[0];

if (Number(process.versions.node.split('.')[0]) >= 24) {
  import(main).catch(function (error) {
    process.stderr.write('This is a defect of Postern: ' + (error.stack || error) + '\n');
    process.exitCode = 70;
  });
} else {
  process.stderr.write(
    'Postern needs Node 24 or newer; this is Node ' +
      process.versions.node +
      '. ' +
      (brought === undefined
        ? 'Install Node 24, or install Postern with its optional packages, which bring one along.\n'
        : 'npm brought one along: ' + brought + ' ' + path('postern.mjs') + ' ARGUMENTS\n'),
  );
  process.exitCode = 2;
}
