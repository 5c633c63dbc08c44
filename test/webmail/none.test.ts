import { create } from '../../src/webmail/none.ts';
import { driverContract } from './driver-contract.fixture.ts';
import { responseOf } from './scripted-exchange.fixture.ts';

driverContract({ name: 'none', landing: '/mail/', create, webmail: () => responseOf(200) });
