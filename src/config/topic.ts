/** Topic templates: MQTT topics (MQTT 5 §4.7) with names in braces. */
import { z } from 'zod';
import { suggest } from './suggest.js';

/** Text that is a topic once its names are filled in. `tag.NAME` is known wherever `device` is. */
export function topicTemplate(names: readonly string[]): z.ZodType<string, string> {
  const known = names.includes('device') ? [...names, 'tag.NAME'] : [...names];
  return z.string().superRefine((text, context) => {
    const say = (message: string, hint?: string) => context.addIssue({ code: 'custom', message, params: { hint } });
    if (text === '') return say('the topic is empty');
    if (/[+#]/.test(text)) return say('a topic to publish to has no wildcard', 'remove + and #');
    for (const [whole, name = ''] of text.matchAll(/\{([^{}]*)\}/g)) {
      if (names.includes(name) || (known.includes('tag.NAME') && /^tag\.[^.{}]+$/.test(name))) continue;
      const near = suggest(name, known);
      say(`${whole} is no name that a topic can hold`, near ? `did you mean {${near}}?` : `known: ${braced(known)}`);
    }
    if (/[{}]/.test(text.replace(/\{[^{}]*\}/g, ''))) say('a brace has no partner', `known: ${braced(known)}`);
  });
}

function braced(names: readonly string[]): string {
  return names.map((name) => `{${name}}`).join(', ');
}
