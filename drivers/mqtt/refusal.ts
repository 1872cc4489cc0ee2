/** What ends a connection to a broker, in words and with what to do about it. */
import type { MqttClient } from 'mqtt';
import { TidegateError } from '../../src/errors.js';
import { errorText, lossText, reasonText } from '../../src/mqtt-reasons.js';
import { connectionSchema } from './schema.js';

/** An error of the library, of Node.js or of OpenSSL. */
export type Coded = Error & { readonly code?: unknown };

/** CONNACK codes about who we are: identifier, user, password, authorization, authentication method. */
const WHO_WE_ARE = new Set([0x02, 0x04, 0x05, 0x85, 0x86, 0x87, 0x8a, 0x8c]);
/** Errors of TLS that a person must end. */
const TLS = /^(ERR_(TLS|SSL)_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET|VERIFY))/;

/** Why the broker does not let us in; with the cause when it is more than a closed connection. */
export function refusalOf(error: Coded, client: MqttClient, broker: string): TidegateError {
  const { code } = error;
  const refused = typeof code === 'number';
  const final = refused ? WHO_WE_ARE.has(code) : typeof code === 'string' && TLS.test(code);
  const message = refused
    ? `${broker} refuses the connection: ${ours(reasonText(code, client.serverProperties))}`
    : `cannot connect to ${broker}: ${ours(errorText(error))}`;
  return new TidegateError(final ? 'LINK_REFUSED' : 'LINK_DOWN', message, { cause: error });
}

/** Why a connection was lost; with the cause when there is more to it than a closed connection. */
export function lossOf(error: Error | undefined, link: Parameters<typeof lossText>[1]): TidegateError {
  return new TidegateError('LINK_DOWN', ours(lossText(error, link)), error && { cause: error });
}

/** Keys that advice may name: those of a connection, and the gateway's name. */
const KEYS = new Set([...Object.keys(connectionSchema.shape), 'gateway']);

/** The same words for a connection; without advice on what an upstream alone has. */
export function ours(text: string): string {
  const advice = text.replaceAll('`url:`', '`broker:`');
  const named = [...advice.matchAll(/`([a-z_.]+):`/g)].map(([, key = '']) => key);
  return named.every((key) => KEYS.has(key)) ? advice : advice.replace(/; [^;]*$/, '');
}
