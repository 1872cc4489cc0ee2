/** What devices over MQTT publish: shared by those who publish it, and those who read it. */

/** Who publishes where, and how often. */
export interface SensorLoad {
  readonly port: number;
  readonly devices: number;
  /** Milliseconds between two messages of a device. */
  readonly every: number;
}

/** The values of a message, by name. */
export const POINTS = ['power', 'voltage', 'current', 'frequency', 'energy'] as const;
/** The topic of a device. */
export const topicOf = (device: number): string => `hall/sensor-${device}`;
