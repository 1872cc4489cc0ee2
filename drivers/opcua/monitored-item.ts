/** Monitored items: what is asked of the server for a point that it is to tell of, and what it answers. */
import { AttributeIds, DataChangeFilter, DataChangeTrigger, DeadbandType, MonitoringMode } from 'node-opcua-client';
import type { Point } from '../../src/model.js';
import type { Asked } from './reader.js';
import type { OpcuaAddress } from './schema.js';
import type { Status } from './status.js';

/** A point that the server is to tell of, by its index in its feed; `plain` without the deadband that it would have. */
export interface Wish {
  readonly index: number;
  readonly ask: Asked;
  readonly plain: boolean;
}

/** What the server made of it. */
export interface ItemResult {
  readonly statusCode: Status;
  readonly monitoredItemId: number;
  readonly revisedQueueSize: number;
}

/** Whether an item was refused for its deadband alone. */
export function wantsNoFilter(
  result: ItemResult | undefined,
  { plain }: Wish,
  { address }: Point<OpcuaAddress>,
): boolean {
  return !plain && address.server_deadband !== undefined && /Filter|Deadband/.test(result?.statusCode.name ?? '');
}

/** The request for one item (OPC UA Part 4 §5.13.2). */
export function itemOf({ ask, plain }: Wish, { address, every }: Point<OpcuaAddress>, clientHandle: number) {
  const { sampling, queue, server_deadband: deadband } = address;
  return {
    itemToMonitor: { ...ask, attributeId: AttributeIds.Value },
    monitoringMode: MonitoringMode.Reporting,
    requestedParameters: {
      clientHandle,
      samplingInterval: sampling ?? every,
      discardOldest: true,
      queueSize: queue,
      ...(deadband !== undefined && !plain && { filter: filterOf(deadband) }),
    },
  };
}

/** A filter of the server (OPC UA Part 4 §7.22.2): `2%` is of the variable's EURange. */
function filterOf(deadband: number | string): DataChangeFilter {
  const percent = typeof deadband === 'string';
  return new DataChangeFilter({
    trigger: DataChangeTrigger.StatusValue,
    deadbandType: percent ? DeadbandType.Percent : DeadbandType.Absolute,
    deadbandValue: percent ? Number.parseFloat(deadband) : deadband,
  });
}
