/** The contract with an upstream's channel: it connects, publishes what it is given, and says what became of it. No queue, no retry of messages. */

/** What became of a message: taken; refused for good; to be tried again later; or refused, and nobody says for how long. */
export type Outcome =
  | { readonly is: 'sent' }
  | { readonly is: 'rejected' | 'retry' | 'unclear'; readonly reason: string };

/** What is published. */
export interface Message {
  readonly topic: string;
  readonly payload: string;
  /** The upstream is to keep it for those who come later, in place of the one before on this topic, where it can. */
  readonly retain: boolean;
}

/** What a sink tells its owner. */
export interface SinkEvents {
  /** Connected: messages may be published, at most `window` unacknowledged. */
  online(window: number): void;
  /**
   * Not connected, or no longer; every unsettled message is void and will not be reported. The sink keeps trying by itself.
   * @param suspicious true when it may be a message that broke the connection
   */
  offline(reason: string, suspicious: boolean): void;
}

/** One way out to one upstream. */
export interface Sink {
  start(events: SinkEvents): void;
  /** Publishes at QoS 1; only while online. `settled` is called at most once, and never after `offline`. */
  publish(message: Message, settled: (outcome: Outcome) => void): void;
  /** Drops a connection that looks dead; the sink goes offline and connects again. */
  reset(reason: string): void;
  /** Says goodbye and ends, within a second or so. Never throws. */
  close(): Promise<void>;
}
