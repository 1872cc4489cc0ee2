/** node-opcua-client alone, with the same subscription. */
import { X509Certificate } from 'node:crypto';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { answer } from '../peer.js';
import { type ClientLoad, NAMESPACE } from '../peers/opcua-nodes.js';

// By way of the driver's own loader, so that its key probe is not measured.
const library = await loadLibrary();
const { AttributeIds, ClientMonitoredItemGroup, MessageSecurityMode, OPCUAClient, SecurityPolicy, TimestampsToReturn } =
  library;
const { makeIdentity } = await import('../../drivers/opcua/own.js');

let count = 0;

answer({
  async open({ port, items, every, certificate }: ClientLoad): Promise<void> {
    const own = await makeIdentity('bench', ['127.0.0.1']);
    const client = OPCUAClient.create({
      securityMode: MessageSecurityMode.SignAndEncrypt,
      securityPolicy: SecurityPolicy.Basic256Sha256,
      applicationUri: own.uri,
      serverCertificate: new X509Certificate(certificate).raw,
      certificateKeyPairProvider: {
        getCertificate: () => own.certificate.raw,
        getCertificateChain: () => [own.certificate.raw],
        getPrivateKey: () => ({ hidden: own.key }),
      },
      endpointMustExist: false,
    });
    await client.connect(`opc.tcp://127.0.0.1:${port}`);
    const session = await client.createSession();
    const namespace = (await session.readNamespaceArray()).indexOf(NAMESPACE);
    const subscription = await session.createSubscription2({
      requestedPublishingInterval: every,
      requestedLifetimeCount: 1_000,
      requestedMaxKeepAliveCount: 20,
      maxNotificationsPerPublish: 0,
      publishingEnabled: true,
      priority: 0,
    });
    const wanted = Array.from({ length: items }, (_, index) => ({
      nodeId: `ns=${namespace};s=${index}`,
      attributeId: AttributeIds.Value,
    }));
    const options = { samplingInterval: every, queueSize: 1, discardOldest: true };
    const group = ClientMonitoredItemGroup.create(subscription, wanted, options, TimestampsToReturn.Source);
    group.on('changed', () => {
      count += 1;
    });
  },
  count: () => count,
});
