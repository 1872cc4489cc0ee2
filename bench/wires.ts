/** Many small devices, each with a TCP connection of its own: what connections cost beside readings. */
import type { Load } from './gateway.js';
import { bareRelay } from './limits.js';
import { type Figures, figuresOf, type Scene } from './scene.js';

const DEVICES = 500;
const POINTS = 30;
const LOAD: Load = { devices: DEVICES, connections: DEVICES, registers: POINTS, every: 1_000 };

/** The whole path of such a load, beside a bare relay of it. */
export interface WiresFigures {
  readonly devices: number;
  readonly points: number;
  readonly wires: Figures;
  readonly relay: Figures;
}

export async function measureWires(scene: Scene): Promise<WiresFigures> {
  const gateway = await scene.start(LOAD);
  const warm = Math.max(DEVICES, scene.pace.warmupMessages);
  const { cloud } = await scene.until(gateway, 'warm-up', (look) => look.cloud.messages >= warm);
  const windows = await scene.watch(gateway);
  await gateway.stop();
  const relay = await bareRelay(scene, LOAD, Math.round(cloud.bytes / cloud.messages));
  return { devices: DEVICES, points: POINTS, wires: figuresOf(windows), relay };
}
