/** Why a broker cannot be reached, or refuses: in words, with what a person can do about it. */

type Reason = readonly [means: string, todo?: string];

const VERSION: Reason = ['protocol version not supported', 'set `version:` to one that the broker speaks'];
const CLIENT_ID: Reason = ['client id not accepted', 'set `client_id:` to one that the broker allows'];
const LOGIN: Reason = ['bad user name or password', 'check `username:` and `password:`'];
const RIGHTS: Reason = [
  'not authorized',
  "check `username:`, `password:`, `client_id:`, and the broker's access rules for the topics",
];
const ITS_LOG = "the broker's log should say more";
const TOO_MUCH = "set `backlog.max_rate:`, send less, or raise the broker's limit";
const ELSEWHERE = 'set `url:` to the server that the broker names, or ask who runs it';
const OURS = `please report it; ${ITS_LOG}`;

/** MQTT 3.1.1 §3.2.2.3 below 0x80, MQTT 5 §2.4 above. */
const REASONS: Readonly<Record<number, Reason>> = {
  0: ['normal disconnection'],
  1: VERSION,
  2: CLIENT_ID,
  3: ['server unavailable', ITS_LOG],
  4: LOGIN,
  5: RIGHTS,
  128: ['unspecified error', ITS_LOG],
  129: ['malformed packet', OURS],
  130: ['protocol error', OURS],
  131: ['implementation specific error', ITS_LOG],
  132: VERSION,
  133: CLIENT_ID,
  134: LOGIN,
  135: RIGHTS,
  136: ['server unavailable', ITS_LOG],
  137: ['server busy', ITS_LOG],
  138: ['banned', 'ask who runs the broker to lift the ban'],
  139: ['server shutting down'],
  140: ['bad authentication method', 'have the broker accept a password or a client certificate'],
  141: ['keep alive timeout', 'the link loses packets, or is slower than `keepalive:`'],
  142: [
    'session taken over',
    'another client uses the same client id: give each gateway its own `gateway:` name or `client_id:`',
  ],
  144: ['topic name invalid', 'check `topic:`, `status_topic:` and `gap_topic:` against what the broker allows'],
  145: ['packet identifier in use'],
  147: ['receive maximum exceeded', 'set `in_flight:` lower'],
  148: ['topic alias invalid'],
  149: ['packet too large', "raise the broker's limit, or send fewer points in one message"],
  150: ['message rate too high', TOO_MUCH],
  151: ['quota exceeded', TOO_MUCH],
  152: ['administrative action', 'ask who runs the broker'],
  153: ['payload format invalid', 'have the broker accept the payload, or set another `payload:`'],
  154: ['retain not supported'],
  155: ['QoS not supported', 'Tidegate needs QoS 1: allow it on the broker, or use another one'],
  156: ['use another server', ELSEWHERE],
  157: ['server moved', ELSEWHERE],
  159: ['connection rate exceeded', 'set `reconnect.min:` higher, or raise the limit of the broker'],
  160: ['maximum connect time'],
};

const HOST = 'check the host in `url:`, and the DNS server of this machine';
const NETWORK = "check this machine's cable, address and route";
const PORT = 'nothing listens there: check host and port in `url:`, and that the broker runs';
const AUTHORITY = "set `ca:` to the PEM file of the authority that signed the broker's certificate";
const OLD_TLS = 'the broker must offer TLS 1.2 or newer';
const SILENT = 'check host and port in `url:`, and firewalls on the way';
const DATE = "and check this machine's clock";

/** By the codes of Node.js and OpenSSL, and by the words of the MQTT library. */
const LINK_ERRORS: Readonly<Record<string, string>> = {
  ENOTFOUND: HOST,
  EAI_AGAIN: HOST,
  ECONNREFUSED: PORT,
  ENETUNREACH: NETWORK,
  ENETDOWN: NETWORK,
  EHOSTUNREACH: NETWORK,
  ETIMEDOUT: SILENT,
  'connack timeout': SILENT,
  'Keepalive timeout': 'the link is dead, or the broker does not answer pings',
  CERT_HAS_EXPIRED: `renew the broker's certificate, ${DATE}`,
  CERT_NOT_YET_VALID: `see from when the broker's certificate is valid, ${DATE}`,
  ERR_TLS_CERT_ALTNAME_INVALID: 'write a host in `url:` that the certificate names, or have it name this one',
  DEPTH_ZERO_SELF_SIGNED_CERT: AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: AUTHORITY,
  ERR_SSL_WRONG_VERSION_NUMBER: 'the port does not speak TLS: write mqtt://, or the port that does',
  EPROTO: 'the port must speak TLS 1.2 or newer',
  ERR_SSL_UNSUPPORTED_PROTOCOL: OLD_TLS,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: OLD_TLS,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'set `cert:` and `key:`: the broker wants a client certificate',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the broker does not trust who signed `cert:`',
};

/** What a broker may add to a reason code (MQTT 5 §3.2.2.3, §3.14.2.2). */
export interface ReasonProperties {
  readonly reasonString?: string | undefined;
  readonly serverReference?: string | undefined;
}

/** A reason code of CONNACK, PUBACK or DISCONNECT, with what to do about it. */
export function reasonText(code: number, properties: ReasonProperties = {}): string {
  const [means = 'unknown reason', todo = undefined] = REASONS[code] ?? [];
  const { reasonString, serverReference } = properties;
  return joined(`${means} (0x${code.toString(16).padStart(2, '0')})`, [
    serverReference && `it names ${serverReference}`,
    reasonString && `it says "${reasonString}"`,
    todo,
  ]);
}

/** An error before or on a link, with what to do about it. Errors of several addresses carry theirs inside. */
export function errorText(error: Error & { readonly code?: unknown }): string {
  const inner = error instanceof AggregateError ? (error.errors as Error[]).map((e) => e.message).join(', ') : '';
  const code = typeof error.code === 'string' ? error.code : undefined;
  return joined(error.message.trim() || inner || code || error.name, [LINK_ERRORS[code ?? error.message]]);
}

/** Whose link was lost, and whether the broker had let it in. */
export interface LostLink {
  readonly letIn: boolean;
  readonly url: string;
  readonly clientId: string;
}

/** Why a link was lost: by an error, or closed or reset without a word (MQTT 3.1.1 has no other way to complain). */
export function lossText(error: (Error & { readonly code?: unknown }) | undefined, link: LostLink): string {
  if (error && error.code !== 'ECONNRESET' && error.code !== 'EPIPE') return errorText(error);
  const what = error ? `the connection broke: ${error.message}` : 'the broker closed the connection';
  if (link.letIn)
    return joined(what, [
      `if that happens again and again, its log should say why; perhaps another client uses the client id ${link.clientId}`,
    ]);
  const tls = link.url.startsWith('mqtts:') ? ' with TLS' : '; if it wants TLS, write mqtts://';
  return joined(`${what} before it answered`, [`check that the port speaks MQTT${tls}`]);
}

function joined(what: string, more: readonly (string | undefined)[]): string {
  return [what, ...more.filter(Boolean)].join('; ');
}
