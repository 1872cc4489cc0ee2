/** The OPC UA server that `opcua-peer.ts` starts in a process of its own: what it is to be comes as JSON, what it is to do as messages. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PublishResponse, ServerSecureChannelLayer } from 'node-opcua-client';
import type { OPCUAServer } from 'node-opcua-server';
import { namesOf } from '../../drivers/opcua/certificate.js';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { prepareServer } from '../../drivers/opcua/server.js';
import type { Order, Plant } from './opcua-peer.js';
import { fillPress, restore, type Variables } from './opcua-press.js';
import { TYPES_NODESET } from './opcua-types.js';

const { ReadValueId, SecurityTokenRequestType, ServiceFault, StatusCodes, Variant } = await loadLibrary();
const { nodesets } = await import('node-opcua-nodesets');
const plant = JSON.parse(process.argv[2] ?? '{}') as Plant;
const certificate = new X509Certificate(plant.identity.certificate);
const folder = process.argv[3] ?? '';
const types = join(folder, 'types.xml');
writeFileSync(types, TYPES_NODESET);
let accepted = plant.accepts;
const server = await prepareServer({
  host: '127.0.0.1',
  port: plant.port ?? 0,
  folder,
  identity: {
    certificate,
    key: createPrivateKey(plant.identity.key),
    uri: plant.applicationUri ?? namesOf(certificate).uri ?? '',
  },
  accepts: (shown) => accepted?.includes(new X509Certificate(shown).fingerprint256) ?? true,
  options: {
    allowAnonymous: true,
    ...(plant.keysLast && { defaultSecureTokenLifetime: plant.keysLast }),
    nodesets: [nodesets.standard, types],
    ...(plant.hostname && { hostname: plant.hostname, alternateHostname: [] }),
    ...(plant.policies && { securityPolicies: plant.policies as never }),
    ...(plant.modes && { securityModes: plant.modes as never }),
    ...(plant.users && {
      userManager: { isValidUser: (user: string, password: string) => plant.users?.[user] === password },
    }),
    serverCapabilities: { maxSessions: 20, minSupportedSampleRate: 0, operationLimits: plant.limits ?? {} },
  },
});
const variables: Variables = await fillPress(server, plant);
if (plant.noSubscriptions) server.engine.serverCapabilities.maxSubscriptionsPerSession = 0;
let renewals = 0;
let swapping = false;
let overtaken: (() => void) | undefined;
server.on('newChannel', (channel: ServerSecureChannelLayer) => {
  const send = channel.send_response.bind(channel);
  channel.send_response = (type, response, message, done) => {
    const { request } = message as { request: { requestType?: unknown } };
    if (request.requestType === SecurityTokenRequestType.Renew) renewals += 1;
    const go = () => send(type, response, message, done);
    if (!swapping || !(response as Partial<PublishResponse>).notificationMessage?.notificationData?.length) return go();
    if (!overtaken) {
      overtaken = go;
      return;
    }
    swapping = false;
    go();
    overtaken();
    overtaken = undefined;
  };
});
if (plant.itemRequests !== undefined) refuseItems(server, plant.itemRequests);
if (plant.noRanges) server.on('request', (request: object) => forgetRanges(request));
await server.start();
process.on('message', (order: Order) => {
  void obey(order).then((answer) => process.send?.({ answer: answer ?? null }));
});
process.on('disconnect', () => process.exit());
process.send?.({ port: server.endpoints[0]?.port });

async function obey(order: Order): Promise<unknown> {
  switch (order.what) {
    case 'set': {
      const variable = variables.get(order.node);
      const { dataType, arrayType } = variable?.readValue().value ?? {};
      const value = new Variant({ dataType, arrayType, value: order.value } as never);
      variable?.setValueFromSource(value, StatusCodes.Good, new Date(order.at ?? Date.now()));
      return undefined;
    }
    case 'status': {
      const variable = variables.get(order.node);
      const status = StatusCodes[order.status as 'Bad'];
      if (variable) variable.setValueFromSource(variable.readValue().value, status, new Date());
      return undefined;
    }
    case 'read':
      return held(variables.get(order.node));
    case 'remove': {
      const variable = variables.get(order.node);
      if (variable) server.engine.addressSpace?.deleteNode(variable);
      return undefined;
    }
    case 'restore':
      return restore(server, variables, order);
    case 'count':
      return { sessions: server.currentSessionCount, subscriptions: server.currentSubscriptionCount };
    case 'swap':
      swapping = true;
      return undefined;
    case 'renewals':
      return renewals;
    case 'accept':
      accepted = order.fingerprints;
      return undefined;
    case 'expire':
      return expireSessions(server);
    case 'forget':
      return forgetSubscriptions(server);
    case 'churn': {
      let round = 0;
      const churn = (): void => {
        round += 1;
        for (let index = 0; index < order.items; index++)
          variables.get(`Many.${index}`)?.setValueFromSource({ dataType: 'Double', value: round + index / 1000 });
      };
      setInterval(churn, order.every);
      return undefined;
    }
    case 'shutdown':
      await server.shutdown(order.grace ?? 0);
      return undefined;
  }
}

/** What a variable holds, also one that nobody may read. */
function held(variable: unknown): unknown {
  return (variable as { $dataValue: { value: { value: unknown } } } | undefined)?.$dataValue.value.value;
}

/** Makes a request be about all of each value. */
function forgetRanges({ nodesToRead, nodesToWrite, itemsToCreate }: RangedRequest): void {
  const items = itemsToCreate?.map(({ itemToMonitor }) => itemToMonitor);
  for (const one of [nodesToRead, nodesToWrite, items].flatMap((list) => list ?? []))
    one.indexRange = new ReadValueId({}).indexRange;
}

interface RangedRequest {
  readonly nodesToRead?: readonly { indexRange: unknown }[];
  readonly nodesToWrite?: readonly { indexRange: unknown }[];
  readonly itemsToCreate?: readonly { readonly itemToMonitor: { indexRange: unknown } }[];
}

/** From one request on, a fault instead of an answer. */
function refuseItems(of: OPCUAServer, after: number): void {
  let left = after;
  of.on('newChannel', (channel: ServerSecureChannelLayer) => {
    const send = channel.send_response.bind(channel);
    channel.send_response = (type, response, message, done) => {
      const refused = response.schema.name === 'CreateMonitoredItemsResponse' && --left < 0;
      const fault = { responseHeader: { requestHandle: response.responseHeader.requestHandle } };
      const answer = refused ? new ServiceFault(fault) : response;
      if (refused) answer.responseHeader.serviceResult = StatusCodes.BadResourceUnavailable;
      send(type, answer, message, done);
    };
  });
}

interface ServerSession {
  readonly authenticationToken: never;
  readonly publishEngine: { readonly subscriptions: readonly { readonly id: number }[] };
  deleteSubscription(id: number): unknown;
}

function sessionsOf({ engine }: OPCUAServer): ServerSession[] {
  return Object.values((engine as unknown as { _sessions: Record<string, ServerSession> })._sessions);
}

function expireSessions(of: OPCUAServer): void {
  for (const { authenticationToken } of sessionsOf(of)) of.engine.closeSession(authenticationToken, true, 'Timeout');
}

function forgetSubscriptions(of: OPCUAServer): void {
  for (const session of sessionsOf(of))
    for (const { id } of [...session.publishEngine.subscriptions]) session.deleteSubscription(id);
}
