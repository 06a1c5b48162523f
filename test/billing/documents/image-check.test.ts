import { describe, expect, test } from 'vitest';
import { imageProblem } from '../../../src/billing/documents/image-check.ts';
import { pngOf } from '../../support/images.ts';

interface Png {
  readonly width?: number;
  readonly height?: number;
  readonly colour?: number;
  readonly interlace?: number;
  /** Of the pixels, before they are packed. */
  readonly bytes?: number;
}

function png({ width = 3, height = 2, colour = 6, interlace = 0, bytes }: Png = {}): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, colour, 0, 0, interlace]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const pixels = Buffer.alloc(bytes ?? (width * 4 + 1) * height);
  return pngOf(header, pixels);
}

/** Start, one frame header with the size, end. */
const jpeg = (width: number, height: number) =>
  Buffer.from([
    0xff,
    0xd8,
    0xff,
    0xc0,
    0,
    11,
    8,
    height >> 8,
    height & 255,
    width >> 8,
    width & 255,
    1,
    1,
    0x11,
    0,
    0xff,
    0xd9,
  ]);

describe('an image that is to be printed', () => {
  test('may be a whole PNG or JPEG of a sensible size', () => {
    expect(imageProblem('image/png', png())).toBeNull();
    expect(imageProblem('image/jpeg', jpeg(300, 100))).toBeNull();
  });

  test.each([
    ['is something else', Buffer.from('<svg onload="alert(1)"/>')],
    ['was cut off', png().subarray(0, 60)],
    ['was altered', Buffer.from(png().map((byte, at) => (at === 45 ? byte ^ 1 : byte)))],
    ['has fewer pixels than it says', png({ bytes: 10 })],
    ['unpacks to more than it says', png({ bytes: 5_000_000 })],
    ['is larger than any paper', png({ width: 20_000, height: 20_000, bytes: 1 })],
    ['is interlaced', png({ interlace: 1 })],
    ['has a palette and no colours', png({ colour: 3 })],
  ])('is refused when it %s', (_, bytes) => {
    expect(imageProblem('image/png', bytes)).toEqual(expect.any(String));
  });

  test('is refused as a JPEG when it is none, has no end, or no sensible size', () => {
    expect(imageProblem('image/jpeg', png())).toBe('is not a JPEG');
    expect(imageProblem('image/jpeg', jpeg(300, 100).subarray(0, 15))).toBe('is cut off');
    expect(imageProblem('image/jpeg', jpeg(60_000, 1))).toContain('pixels');
  });
});
