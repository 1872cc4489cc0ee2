/** A gateway with Modbus devices that come and go, and a broker that hears of it. */
import { onTestFinished, vi } from 'vitest';
import { readEntries, readRegister } from '../../src/devices/journal.js';
import type { Registration } from '../../src/devices/registration.js';
import { type Gateway, startGateway } from '../../src/gateway.js';
import type { DeviceEvent } from '../../src/model.js';
import { loadSite } from '../../src/site.js';
import { TestBroker } from './broker.js';
import { type ModbusPeer, startModbusPeer, truthful } from './modbus-peer.js';
import { meterProfile, SiteFolder, type Written } from './site-folder.js';
import { silent } from './upstream.js';

/** News of a device, as a receiver sees it. */
export interface News
  extends Pick<
    DeviceEvent,
    'device' | 'state' | 'previous' | 'reason' | 'profile' | 'connection' | 'identity' | 'changes'
  > {
  readonly id: string;
  readonly event: DeviceEvent['what'];
}

/** The scene. */
export class RegisterSite extends SiteFolder {
  readonly broker: TestBroker;
  readonly peer: ModbusPeer;
  /** Units that do not answer. */
  readonly silentUnits = new Set<number>();

  private constructor(broker: TestBroker, peer: ModbusPeer) {
    super();
    this.broker = broker;
    this.peer = peer;
    peer.answer = (asked) => (this.silentUnits.has(asked.unit) ? undefined : truthful(asked));
    this.write('device-profiles/test/meter.yaml', meterProfile('test/meter', '20ms'));
    this.write('device-profiles/test/other.yaml', meterProfile('test/other', '20ms'));
  }

  static async start(): Promise<RegisterSite> {
    const [broker, peer] = [await TestBroker.start(), await startModbusPeer()];
    onTestFinished(async () => {
      await peer.close();
      await broker.down();
    });
    return new RegisterSite(broker, peer);
  }

  /** What gateway.yaml says: devices of units by name, and more. */
  written(devices: Readonly<Record<string, object>>, more: object = {}): Written {
    return {
      connections: { bus: { driver: 'modbus', tcp: `127.0.0.1:${this.peer.port}`, timeout: '120ms' } },
      devices,
      upstreams: { cloud: { url: this.broker.url, version: '3.1.1', reconnect: { min: '10ms', max: '40ms' } } },
      ...more,
    };
  }

  /** Starts a gateway on what gateway.yaml and the register say. */
  async run(): Promise<Gateway> {
    const gateway = await startGateway(await loadSite(this.file), { log: silent });
    onTestFinished(() => gateway.stop());
    return gateway;
  }

  get data(): string {
    return `${this.path}/data`;
  }

  /** News that the broker has, of one device or all. */
  news(device = ''): News[] {
    return this.broker.received
      .filter(({ topic }) => topic.endsWith(`${device}/status`) && topic.split('/').length === 4)
      .map(({ payload }) => JSON.parse(payload) as News);
  }

  /** Waits for the state that the broker was told last. */
  async told(device: string, state: DeviceEvent['state']): Promise<News> {
    await this.broker.until(() => this.news(device).at(-1)?.state === state);
    return this.news(device).at(-1) as News;
  }

  /** What the journal on disk makes of a device, once it fits. */
  async kept(device: string, like: Partial<Registration>): Promise<Registration> {
    return vi.waitFor(async () => {
      const found = (await readRegister(this.data)).get(device);
      if (!found || Object.entries(like).some(([key, value]) => found[key as keyof Registration] !== value))
        throw new Error(`the journal has ${JSON.stringify(found)}`);
      return found;
    }, 5_000);
  }

  /** What happened to a device, by the journal on disk. */
  async happened(device: string): Promise<string[]> {
    return (await readEntries(this.data))
      .filter((entry) => entry.device === device)
      .map(({ what, set }) => set.state ?? what);
  }
}
