/** What a rule file may say: a list of rules, each with what it matches, the steps a reading passes, and where it goes. */
import { z } from 'zod';
import { deadband } from '../config/deadband.js';
import { topicTemplate } from '../config/topic.js';
import type { Deadband } from '../model.js';
import { duration } from '../units.js';
import type { Expression } from './expression.js';

const listOf = (what: string) =>
  z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)], { error: `write ${what}, or a list of them` })
    .transform((written) => (typeof written === 'string' ? [written] : written));

const patterns = listOf('a name or a pattern');
const upstreams = listOf('the name of an upstream');

const match = z.strictObject({
  device: patterns.optional().describe('Device ids. In every pattern `*` stands for any characters, `?` for one.'),
  point: patterns.optional().describe('Point ids.'),
  profile: patterns.optional().describe('Profile names, such as eastron/*.'),
  tags: z
    .record(z.string(), patterns)
    .optional()
    .describe('Tags of the device: every tag named here must have a value that fits.'),
});

const change = z.strictObject({
  deadband: deadband
    .optional()
    .describe(
      "Pass when the value differs from the last one sent by more than this: a number in the point's unit, or a percentage. " +
        "Default: the point's own deadband, else any difference.",
    ),
  at_least_every: duration.optional().describe('Pass after this time even without a change.'),
});

/** One step as written. */
export const stepSchema = z
  .strictObject({
    where: z
      .string()
      .optional()
      .describe(
        'CEL expression over value, quality, device, point, profile, unit, tags and at; the reading passes when it is true.',
      ),
    change: change
      .optional()
      .describe('Passes the first value, changes beyond the deadband, and every change of quality.'),
  })
  .refine((written) => (written.where === undefined) !== (written.change === undefined), {
    error: 'a step is either "where" or "change"',
    params: { hint: 'write each as a list entry of its own: - where: …' },
  });

const destination = z.strictObject({
  to: upstreams.describe('One of `upstreams` in gateway.yaml, or several.'),
  topic: topicTemplate(['gateway', 'device', 'profile', 'upstream'])
    .optional()
    .describe(
      "Topic template: {gateway}, {device}, {profile}, {upstream}, {tag.NAME}. Default: the upstream's own topic.",
    ),
  lane: z.enum(['alarm', 'live']).default('live').describe('`alarm` overtakes everything else.'),
});

/** One rule as written. */
export const ruleSchema = z.strictObject({
  rule: z.string().min(1).describe('Title, unique in its file.'),
  match: match.prefault({}).describe('Which readings; each key narrows it. Default: all.'),
  steps: z.array(stepSchema).default([]).describe('Steps that a reading must pass, in order. Default: none, all pass.'),
  send: z
    .union([upstreams, destination], { error: 'write the name of an upstream, a list of them, or { to, topic, lane }' })
    .describe('Where to: upstreams, or { to, topic, lane }.'),
});

/** A rule file. */
export const ruleFileSchema = z.array(ruleSchema);

/** One rule as its schema gives it: patterns as lists, durations in milliseconds. */
export type WrittenRule = z.output<typeof ruleSchema>;

/** Which readings a rule is about. Lists hold patterns; what is absent matches everything. */
export interface Match {
  readonly device?: readonly string[] | undefined;
  readonly point?: readonly string[] | undefined;
  readonly profile?: readonly string[] | undefined;
  readonly tags?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** One step of a rule: a condition, or a filter for changes (`atLeastEvery` in milliseconds). */
export type Step =
  | { readonly kind: 'where'; readonly expression: Expression }
  | {
      readonly kind: 'change';
      readonly deadband?: Deadband | undefined;
      readonly atLeastEvery?: number | undefined;
    };

/** A rule that was checked: all its names exist, all its expressions give true or false. */
export interface Rule {
  readonly title: string;
  /** The file it stands in, for messages. */
  readonly file: string;
  readonly match: Match;
  readonly steps: readonly Step[];
  /** Upstream ids. */
  readonly to: readonly string[];
  /** Topic template; absent: the upstream's own. */
  readonly topic?: string | undefined;
  readonly lane: 'alarm' | 'live';
}
