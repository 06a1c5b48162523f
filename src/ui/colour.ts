/**
 * The agency's colour in its tenants' console. It is dark enough for white paper; on dark it is mixed
 * with white until it can be read there as well.
 */
const DARK_SURFACE = '#161d1b';
const CONTRAST_MIN = 5;

export function isColour(text: string): boolean {
  return /^#[0-9a-f]{6}$/i.test(text);
}

type Rgb = readonly [red: number, green: number, blue: number];

function rgbOf(colour: string): Rgb {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)) as unknown as Rgb;
}

function colourOf(rgb: readonly number[]): string {
  return `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, '0')).join('')}`;
}

/** `share` of the second, the rest of the first. */
export function mixed(colour: string, other: string, share: number): string {
  const [from, to] = [rgbOf(colour), rgbOf(other)];
  return colourOf(from.map((value, at) => value + (to[at]! - value) * share));
}

function luminance(colour: string): number {
  const [red, green, blue] = rgbOf(colour).map((value) => {
    const share = value / 255;
    return share <= 0.040_45 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** WCAG, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].toSorted((one, other) => other - one) as [
    number,
    number,
  ];
  return (light + 0.05) / (dark + 0.05);
}

export function forDark(colour: string): string {
  for (let share = 0; share < 1; share += 0.05) {
    const lighter = mixed(colour, '#ffffff', share);
    if (contrast(lighter, DARK_SURFACE) >= CONTRAST_MIN) return lighter;
  }
  return '#ffffff';
}

/** Darker until it can be read on the tint behind it, too. */
function forTint(colour: string, tint: string): string {
  for (let share = 0; share < 1; share += 0.05) {
    const darker = mixed(colour, '#000000', share);
    if (contrast(darker, tint) >= CONTRAST_MIN) return darker;
  }
  return '#000000';
}

/** The values of styles.css that follow from the colour. */
export function brandCss(accent: string): string {
  const tint = mixed(accent, '#ffffff', 0.9);
  const onPaper = forTint(accent, tint);
  const light = {
    accent: onPaper,
    'accent-hover': mixed(onPaper, '#000000', 0.2),
    'on-accent': '#ffffff',
    tint,
    'series-1': onPaper,
  };
  const darkAccent = forDark(accent);
  const dark = {
    accent: darkAccent,
    'accent-hover': mixed(darkAccent, '#ffffff', 0.25),
    'on-accent': '#0e1312',
    tint: mixed(accent, DARK_SURFACE, 0.72),
    'series-1': darkAccent,
  };
  const text = (values: Readonly<Record<string, string>>) =>
    Object.entries(values)
      .map(([name, value]) => `--${name}:${value}`)
      .join(';');
  return (
    `:root{${text(light)}}` +
    `@media (prefers-color-scheme: dark){:root:not([data-theme='light']){${text(dark)}}}` +
    `[data-theme='dark']{${text(dark)}}`
  );
}
