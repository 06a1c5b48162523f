import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type PdfKit from 'pdfkit';

/**
 * A PDF/A-3b file with embedded fonts. Nothing in it depends on the clock, the machine or chance:
 * every date is the document's own, so that the same document gives the same bytes years later.
 */
export type Pdf = InstanceType<typeof PdfKit>;

export const FONTS = { regular: 'Plex', medium: 'Plex-Medium', bold: 'Plex-SemiBold' } as const;

const require = createRequire(import.meta.url);
const files = new Map<string, Buffer>();

/** Read once per process; under the Open Font License, whole, so that names of all of Europe have their letters. */
function fontFile(name: string): Buffer {
  let bytes = files.get(name);
  if (bytes === undefined) {
    bytes = readFileSync(require.resolve(`@expo-google-fonts/ibm-plex-sans/${name}/IBMPlexSans_${name}.ttf`));
    files.set(name, bytes);
  }
  return bytes;
}

export interface PdfFacts {
  readonly title: string;
  readonly author: string;
  readonly language: string;
  /** `YYYY-MM-DD` of the document. */
  readonly date: string;
}

export function newPdf({ title, author, language, date }: PdfFacts): Pdf {
  const at = new Date(`${date}T00:00:00.000Z`);
  // Loaded with the first document: a start has none to make.
  const Document = require('pdfkit') as typeof PdfKit;
  const pdf = new Document({
    size: 'A4',
    margin: 0,
    pdfVersion: '1.7',
    subset: 'PDF/A-3b',
    bufferPages: true,
    lang: language,
    displayTitle: true,
    info: {
      Title: title,
      Author: author,
      Creator: 'Keyledger',
      Producer: 'Keyledger',
      CreationDate: at,
      ModDate: at,
    },
    // None: a font that was set here would be parsed again at each use of its registered name.
    font: null as unknown as string,
  });
  pdf.registerFont(FONTS.regular, fontFile('400Regular'));
  pdf.registerFont(FONTS.medium, fontFile('500Medium'));
  pdf.registerFont(FONTS.bold, fontFile('600SemiBold'));
  return pdf;
}

/** Attaches the invoice's XML as Factur-X wants it, and says so in the metadata. */
export function attachXml(pdf: Pdf, xml: string, date: string): void {
  const at = new Date(`${date}T00:00:00.000Z`);
  // The published types do not know the relationship of an attachment to the document.
  const options = {
    name: 'factur-x.xml',
    type: 'text/xml',
    description: 'Factur-X/ZUGFeRD EN 16931',
    relationship: 'Alternative',
    creationDate: at,
    modifiedDate: at,
  };
  pdf.file(Buffer.from(xml), options);
  (pdf as unknown as { appendXML(text: string): void }).appendXML(FACTUR_X);
}

export async function pdfBytes(pdf: Pdf): Promise<Buffer> {
  const chunks: Buffer[] = [];
  pdf.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = once(pdf, 'end');
  pdf.end();
  await ended;
  return Buffer.concat(chunks);
}

const property = (name: string, description: string): string => `
            <rdf:li rdf:parseType="Resource">
              <pdfaProperty:name>${name}</pdfaProperty:name>
              <pdfaProperty:valueType>Text</pdfaProperty:valueType>
              <pdfaProperty:category>external</pdfaProperty:category>
              <pdfaProperty:description>${description}</pdfaProperty:description>
            </rdf:li>`;

/** The metadata of a hybrid invoice, with the schema that PDF/A wants described. */
const FACTUR_X = `
    <rdf:Description rdf:about="" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#">
      <fx:DocumentType>INVOICE</fx:DocumentType>
      <fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>
      <fx:Version>1.0</fx:Version>
      <fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>
    </rdf:Description>
    <rdf:Description rdf:about=""
        xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
        xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"
        xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
      <pdfaExtension:schemas>
        <rdf:Bag>
          <rdf:li rdf:parseType="Resource">
            <pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>
            <pdfaSchema:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</pdfaSchema:namespaceURI>
            <pdfaSchema:prefix>fx</pdfaSchema:prefix>
            <pdfaSchema:property>
              <rdf:Seq>${property('DocumentFileName', 'name of the embedded XML invoice file')}${property('DocumentType', 'INVOICE')}${property('Version', 'version of the standard')}${property('ConformanceLevel', 'profile of the embedded XML invoice')}
              </rdf:Seq>
            </pdfaSchema:property>
          </rdf:li>
        </rdf:Bag>
      </pdfaExtension:schemas>
    </rdf:Description>
`;
