import { z } from 'zod';
import { imageProblem } from './image-check.ts';
import { LANGUAGES } from './parties.ts';

/** What an agency's documents look like. A brand is never changed: a new one gets a new hash. */
const LOGO_BYTES_MAX = 300_000;
const SIGNATURES = { 'image/png': '89504e470d0a1a0a', 'image/jpeg': 'ffd8ff' } as const;

const Logo = z
  .strictObject({
    type: z.enum(['image/png', 'image/jpeg']),
    /** Base64. */
    data: z.base64().max(Math.ceil(LOGO_BYTES_MAX / 3) * 4),
  })
  .refine(
    ({ type, data }) => Buffer.from(data, 'base64').toString('hex', 0, 8).startsWith(SIGNATURES[type]),
    'is not an image of this type',
  );
const Text = z.string().trim().min(1).max(600).nullable().default(null);
const Texts = z.strictObject({
  /** Before the lines; null for the usual sentence. */
  intro: Text,
  /** After the payment terms. */
  closing: Text,
});

export const Brand = z.strictObject({
  /** Of headings and rules: `#rrggbb`, dark enough to be read on white. */
  accent: z
    .string()
    .regex(/^#[0-9a-f]{6}$/i)
    .refine(isReadableOnWhite, 'is too light to be read on white paper')
    .transform((colour) => colour.toLowerCase())
    .default('#1d3557'),
  logo: Logo.nullable().default(null),
  texts: z
    .strictObject({ de: Texts.optional(), en: Texts.optional() } satisfies Record<
      (typeof LANGUAGES)[number],
      unknown
    >)
    .default({}),
});
export type Brand = z.output<typeof Brand>;

/** As somebody gives it: what is kept has been looked at before. */
export const GivenBrand = Brand.superRefine(({ logo }, context) => {
  const message = logo === null ? null : imageProblem(logo.type, Buffer.from(logo.data, 'base64'));
  if (message !== null) context.addIssue({ code: 'custom', path: ['logo', 'data'], message });
});

export const PLAIN_BRAND: Brand = Brand.parse({});

/** WCAG: a contrast of 4.5 to 1 with white. */
function isReadableOnWhite(colour: string): boolean {
  const channels = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red = 0, green = 0, blue = 0] = channels.map((value) =>
    value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  );
  return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5;
}
