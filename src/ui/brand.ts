import { brandCss } from './colour.ts';

/** Puts the colour on, until what is returned is called. */
export function wear(accent: string): () => void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(brandCss(accent));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
  };
}
