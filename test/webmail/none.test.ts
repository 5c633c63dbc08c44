import { create } from '../../src/webmail/none.ts';
import { driverContract } from './driver-contract.ts';
import { responseOf } from './scripted-exchange.ts';

driverContract({ name: 'none', landing: '/mail/', create, webmail: () => responseOf(200) });
