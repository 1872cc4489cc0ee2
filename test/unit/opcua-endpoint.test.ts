/** What is configured is used, or nothing; and no password leaves in the clear. */
import { describe, expect, test } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import { loadLibrary } from '../../drivers/opcua/library.js';
import type { OpcuaConnection } from '../../drivers/opcua/schema.js';

const { EndpointDescription, MessageSecurityMode, SecurityPolicy, UserTokenType } = await loadLibrary();
const { chooseEndpoint } = await import('../../drivers/opcua/endpoint.js');

type Policy = keyof typeof SecurityPolicy;

function offer(
  policy: Policy,
  mode: keyof typeof MessageSecurityMode,
  tokens: [keyof typeof UserTokenType, Policy?][],
) {
  return new EndpointDescription({
    endpointUrl: 'opc.tcp://x:1',
    securityPolicyUri: SecurityPolicy[policy],
    securityMode: MessageSecurityMode[mode],
    userIdentityTokens: tokens.map(([type, own]) => ({
      policyId: type,
      tokenType: UserTokenType[type],
      securityPolicyUri: own && SecurityPolicy[own],
    })),
  });
}

const wanted = (keys: object): OpcuaConnection =>
  opcua.connection.parse({ endpoint: 'opc.tcp://x:1', ...keys }) as OpcuaConnection;
const user = { username: 'u', password: 'p' };

test('never less than what is written', () => {
  const offered = [
    offer('None', 'None', [['Anonymous']]),
    offer('Basic256Sha256', 'Sign', [['Anonymous']]),
    offer('Aes256_Sha256_RsaPss', 'SignAndEncrypt', [['Anonymous']]),
  ];
  expect(() => chooseEndpoint(offered, wanted({}))).toThrow(
    'the server does not offer Basic256Sha256 SignAndEncrypt; it offers None, Basic256Sha256 Sign, Aes256_Sha256_RsaPss SignAndEncrypt',
  );
  expect(chooseEndpoint(offered, wanted({ mode: 'Sign' }))).toBe(offered[1]);
  expect(chooseEndpoint(offered, wanted({ security: 'None' }))).toBe(offered[0]);
});

test('a way to sign in that the server does not have', () => {
  const offered = [offer('Basic256Sha256', 'SignAndEncrypt', [['UserName'], ['Certificate']])];
  expect(() => chooseEndpoint(offered, wanted({}))).toThrow(
    /does not let in anonymous; it lets in username, certificate/,
  );
});

describe('a password', () => {
  test.each([
    ['None', 'None', undefined],
    ['None', 'None', 'None'],
    ['Basic256Sha256', 'Sign', 'None'],
  ] as [Policy, 'None' | 'Sign', Policy | undefined][])(
    'over %s %s with a token of %s stays here',
    (policy, mode, token) => {
      const keys = policy === 'None' ? { security: 'None' } : { mode };
      expect(() => chooseEndpoint([offer(policy, mode, [['UserName', token]])], wanted({ ...keys, ...user }))).toThrow(
        /the password would be sent readable for everybody/,
      );
    },
  );

  test.each([
    ['None', 'None', 'Basic256Sha256'],
    ['Basic256Sha256', 'Sign', undefined],
    ['Basic256Sha256', 'SignAndEncrypt', 'None'],
  ] as [Policy, 'None', Policy | undefined][])(
    'over %s %s with a token of %s goes encrypted',
    (policy, mode, token) => {
      const keys = policy === 'None' ? { security: 'None' } : { mode };
      expect(chooseEndpoint([offer(policy, mode, [['UserName', token]])], wanted({ ...keys, ...user }))).toBeDefined();
    },
  );

  test('stays here where another endpoint of the same security would take it in the clear, over whatever transport', () => {
    const safe = offer('None', 'None', [['UserName', 'Basic256Sha256']]);
    const open = offer('None', 'None', [['UserName', 'None']]);
    const elsewhere = Object.assign(offer('None', 'None', [['UserName']]), { transportProfileUri: 'urn:https' });
    for (const other of [open, elsewhere])
      expect(() => chooseEndpoint([safe, other], wanted({ security: 'None', ...user }))).toThrow(
        /readable for everybody/,
      );
    expect(chooseEndpoint([safe], wanted({ security: 'None', ...user }))).toBe(safe);
  });
});
