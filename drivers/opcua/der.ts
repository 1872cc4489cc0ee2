/** DER (ITU-T X.690 §10), as far as certificates need it: elements, each a tag, a length and a content. */

const EMPTY = Buffer.alloc(0);

/**
 * Cuts elements apart that stand one behind the other.
 * @throws Error when they are none
 */
export function splitDer(bytes: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { end } = placeOf(bytes, at);
    elements.push(bytes.subarray(at, end));
    at = end;
  }
  return elements;
}

/** The content of an element; empty where there is none. */
export function contentOf(element: Buffer | undefined): Buffer {
  if (element === undefined) return EMPTY;
  const { from, end } = placeOf(element, 0);
  return element.subarray(from, end);
}

/** The elements that an element is made of; none where there is none. */
export function partsOf(element: Buffer | undefined): Buffer[] {
  return splitDer(contentOf(element));
}

/** Where the content of an element begins, and where it ends. */
function placeOf(bytes: Buffer, at: number): { readonly from: number; readonly end: number } {
  const short = bytes[at + 1] ?? 0;
  const count = short & 0x80 ? short & 0x7f : 0;
  const from = at + 2 + count;
  if (count > 4 || from > bytes.length) throw new Error('is no DER');
  return { from, end: from + (count === 0 ? short : bytes.readUIntBE(at + 2, count)) };
}
