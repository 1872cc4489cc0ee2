/** What a server offers, and which of it is what was configured: exactly that, or nothing. */
import { type EndpointDescription, MessageSecurityMode, SecurityPolicy, UserTokenType } from 'node-opcua-client';
import { TidegateError } from '../../src/errors.js';
import type { OpcuaConnection } from './schema.js';

/** OPC UA TCP with binary encoding (OPC UA Part 7 §6.7). */
const BINARY = 'http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary';

const SIGN_IN: Readonly<Record<number, string>> = {
  [UserTokenType.Anonymous]: 'anonymous',
  [UserTokenType.UserName]: 'username',
  [UserTokenType.Certificate]: 'certificate',
  [UserTokenType.IssuedToken]: 'issued token',
};

/** The library's words for what is configured. */
export function securityOf({ security, mode = 'SignAndEncrypt' }: OpcuaConnection): {
  readonly policy: SecurityPolicy;
  readonly mode: MessageSecurityMode;
} {
  if (security === 'None') return { policy: SecurityPolicy.None, mode: MessageSecurityMode.None };
  return { policy: SecurityPolicy[security], mode: MessageSecurityMode[mode] };
}

/**
 * The endpoint that is configured.
 * @throws TidegateError LINK_REFUSED with all that the server offers, when it does not offer that
 */
export function chooseEndpoint(
  offered: readonly EndpointDescription[],
  connection: OpcuaConnection,
): EndpointDescription {
  const { policy, mode } = securityOf(connection);
  const spoken = offered.filter(({ transportProfileUri: uri }) => !uri || uri === BINARY);
  const secured = (one: EndpointDescription) => one.securityMode === mode && one.securityPolicyUri === policy;
  const found = spoken.find(secured);
  const words =
    connection.security === 'None' ? 'security None' : `${connection.security} ${connection.mode ?? 'SignAndEncrypt'}`;
  if (!found)
    throw new TidegateError('LINK_REFUSED', `the server does not offer ${words}; it offers ${offersOf(spoken)}`, {
      hint: 'Write `security` and `mode` as the server offers them, or switch them on in the server.',
    });
  checkSignIn(found, connection, words);
  // Of several that are secured like that the library takes another where the server's names for itself say so.
  for (const one of offered.filter(secured)) checkPassword(one, connection, words);
  return found;
}

/** The kind of token that is configured (OPC UA Part 4 §7.40). */
export function tokenTypeOf({ username, certificate }: OpcuaConnection): UserTokenType {
  if (username !== undefined) return UserTokenType.UserName;
  return certificate === undefined ? UserTokenType.Anonymous : UserTokenType.Certificate;
}

/** The server must take the way of signing in. */
function checkSignIn(endpoint: EndpointDescription, connection: OpcuaConnection, words: string): void {
  const wanted = tokenTypeOf(connection);
  if (endpoint.userIdentityTokens?.some(({ tokenType }) => tokenType === wanted)) return;
  throw new TidegateError(
    'LINK_REFUSED',
    `with ${words} the server does not let in ${SIGN_IN[wanted]}; it lets in ${signInsOf(endpoint)}`,
    { hint: 'Write username and password, or certificate and key, as the server asks for; or none of them.' },
  );
}

/** No password may travel in the clear. A token without a policy of its own takes that of the channel. */
function checkPassword(endpoint: EndpointDescription, { username }: OpcuaConnection, words: string): void {
  if (username === undefined || endpoint.securityMode === MessageSecurityMode.SignAndEncrypt) return;
  const open = endpoint.userIdentityTokens?.some(
    ({ tokenType, securityPolicyUri }) =>
      tokenType === UserTokenType.UserName && (securityPolicyUri || endpoint.securityPolicyUri) === SecurityPolicy.None,
  );
  if (open)
    throw new TidegateError('LINK_REFUSED', `with ${words} the password would be sent readable for everybody`, {
      hint: 'Write mode: SignAndEncrypt with a security policy that the server offers.',
    });
}

/** Whether what signs us in must be encrypted for the server, or signed: then its certificate matters even without security. */
export function needsCertificate(endpoint: EndpointDescription, connection: OpcuaConnection): boolean {
  return endpoint.securityMode !== MessageSecurityMode.None || tokenTypeOf(connection) !== UserTokenType.Anonymous;
}

function offersOf(endpoints: readonly EndpointDescription[]): string {
  const all = endpoints.map(({ securityPolicyUri, securityMode }) => {
    const policy = (securityPolicyUri ?? '').replace(/^.*#/, '');
    return policy === 'None' ? 'None' : `${policy} ${MessageSecurityMode[securityMode]}`;
  });
  return [...new Set(all)].join(', ') || 'nothing that is spoken here';
}

function signInsOf({ userIdentityTokens }: EndpointDescription): string {
  const all = (userIdentityTokens ?? []).map(({ tokenType }) => SIGN_IN[tokenType] ?? 'something else');
  return [...new Set(all)].join(', ') || 'nobody';
}
