import { crc32, inflateSync } from 'node:zlib';

/**
 * Whether an image can be drawn, looked at byte by byte before it is kept: what draws it later decodes
 * in the middle of an invoice run, and takes a damaged file for a defect. Returns what is wrong; null
 * when nothing is.
 */
const PIXELS_MAX = 2_400;
const PNG_SIGNATURE = '89504e470d0a1a0a';
/** Samples of a pixel by colour type. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

export function imageProblem(type: 'image/png' | 'image/jpeg', bytes: Buffer): string | null {
  return type === 'image/png' ? pngProblem(bytes) : jpegProblem(bytes);
}

function pngProblem(bytes: Buffer): string | null {
  if (bytes.toString('hex', 0, 8) !== PNG_SIGNATURE) return 'is not a PNG';
  const chunks = new Map<string, Buffer[]>();
  for (let at = 8; at < bytes.length; ) {
    if (at + 12 > bytes.length) return 'is cut off';
    const length = bytes.readUInt32BE(at);
    const end = at + 8 + length;
    if (end + 4 > bytes.length) return 'is cut off';
    if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32BE(end)) return 'is damaged';
    const name = bytes.toString('latin1', at + 4, at + 8);
    chunks.set(name, [...(chunks.get(name) ?? []), bytes.subarray(at + 8, end)]);
    at = end + 4;
    if (name === 'IEND') break;
  }
  const [header] = chunks.get('IHDR') ?? [];
  if (header?.length !== 13 || !chunks.has('IEND')) return 'is cut off';
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [depth, colour, compression, filter, interlace] = header.subarray(8) as unknown as number[];
  const samples = SAMPLES[colour!];
  if (samples === undefined || compression !== 0 || filter !== 0) return 'is damaged';
  if (interlace !== 0) return 'is interlaced; save it without';
  if (depth !== 8 && !(depth! < 8 && (colour === 3 || colour === 0))) return 'needs 8 bits per colour';
  if (colour === 3 && !chunks.has('PLTE')) return 'is damaged';
  if (!isSize(width, height)) return sizeRule;
  const rowBytes = Math.ceil((width * samples * depth!) / 8) + 1;
  try {
    const pixels = inflateSync(Buffer.concat(chunks.get('IDAT') ?? []), {
      maxOutputLength: rowBytes * height + 1,
    });
    return pixels.length === rowBytes * height ? null : 'is damaged';
  } catch {
    return 'is damaged';
  }
}

const JPEG_END = 0xd9;
const JPEG_SCAN = 0xda;
/** Baseline, extended and progressive; what others there are nobody can print. */
const JPEG_FRAMES: readonly number[] = [0xc0, 0xc1, 0xc2];

function jpegProblem(bytes: Buffer): string | null {
  if (bytes.toString('hex', 0, 2) !== 'ffd8') return 'is not a JPEG';
  if (bytes.lastIndexOf(Buffer.from([0xff, JPEG_END])) < 4) return 'is cut off';
  for (let at = 2; at + 9 < bytes.length; ) {
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff || marker === JPEG_SCAN) return 'is damaged';
    if (JPEG_FRAMES.includes(marker)) {
      const [height, width] = [bytes.readUInt16BE(at + 5), bytes.readUInt16BE(at + 7)];
      if (bytes[at + 4] !== 8 || ![1, 3, 4].includes(bytes[at + 9]!)) return 'needs 8 bits per colour';
      return isSize(width, height) ? null : sizeRule;
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return 'is cut off';
}

const sizeRule = `has to be 1 to ${PIXELS_MAX} pixels wide and high`;

function isSize(width: number, height: number): boolean {
  return width >= 1 && height >= 1 && width <= PIXELS_MAX && height <= PIXELS_MAX;
}
