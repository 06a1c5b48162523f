import { assert, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { brandCss, contrast, forDark, isColour } from '../../src/ui/colour.ts';

const colours = integer({ min: 0, max: 0xffffff }).map((value) => `#${value.toString(16).padStart(6, '0')}`);
const valueIn = (css: string, name: string) => new RegExp(`--${name}:(#[0-9a-f]{6})`).exec(css)![1]!;

describe('the colour of an agency in the console of its tenants', () => {
  test('can be read on white, on its own tint and on dark, whatever it is', () => {
    assert(
      property(colours, (accent) => {
        const [light, dark] = brandCss(accent).split('@media') as [string, string];
        expect(contrast(valueIn(light, 'accent'), valueIn(light, 'tint'))).toBeGreaterThanOrEqual(4.5);
        expect(contrast(valueIn(light, 'accent'), '#ffffff')).toBeGreaterThanOrEqual(4.5);
        expect(contrast(valueIn(dark, 'accent'), '#161d1b')).toBeGreaterThanOrEqual(4.5);
        expect(contrast(valueIn(dark, 'accent'), valueIn(dark, 'on-accent'))).toBeGreaterThanOrEqual(4.5);
        expect(contrast(valueIn(dark, 'accent'), valueIn(dark, 'tint'))).toBeGreaterThanOrEqual(3);
      }),
    );
  });

  test('stays what it is where it can be read', () => {
    expect(forDark('#9fe3cf')).toBe('#9fe3cf');
    expect(contrast('#000000', '#ffffff')).toBe(21);
    expect(valueIn(brandCss('#0b5d4e'), 'accent')).toBe('#0b5d4e');
  });

  test('is six hexadecimal digits and nothing that could end the style', () => {
    expect(isColour('#8A1c4a')).toBe(true);
    for (const text of ['#fff', 'red', '#8a1c4a}body{', '']) expect(isColour(text)).toBe(false);
  });
});
