import { type ChangeEvent, type FormEvent, useId, useState } from 'react';
import type { Brand, BrandLogo, BrandTexts } from '../api/shapes-desk.ts';
import { useRead, useWrite } from '../api/hooks.ts';
import { contrast, forDark, isColour } from '../colour.ts';
import { useRights, useSession, useT } from '../context.tsx';
import { Button, Card } from '../parts/basics.tsx';
import { Problem, Shown } from '../parts/states.tsx';
import { LANGUAGES, type Language } from '../words/words.ts';

const PLAIN_ACCENT = '#1d3557';
const LOGO_BYTES_MAX = 300_000;
const CONTRAST_MIN = 4.5;
const TYPES = ['image/png', 'image/jpeg'];

/** Logo, colour and words: on invoices that are issued from then on, and in the tenants' console. */
export function BrandSettings({ agencyId }: { readonly agencyId: string }) {
  const t = useT();
  const brand = useRead('GET /api/agencies/:id/brand', { params: { id: agencyId } });
  return (
    <Shown of={brand}>
      {({ version, brand: known }) => (
        <BrandForm key={version} agencyId={agencyId} known={known} title={t('brand')} />
      )}
    </Shown>
  );
}

interface Draft {
  readonly accent: string;
  readonly logo: BrandLogo | null;
  readonly texts: Readonly<Partial<Record<Language, BrandTexts>>>;
}

function BrandForm({
  agencyId,
  known,
  title,
}: {
  readonly agencyId: string;
  readonly known: Brand;
  readonly title: string;
}) {
  const t = useT();
  const { admin } = useRights();
  const [draft, setDraft] = useState<Draft>({
    accent: known.accent,
    logo: known.logo,
    texts: known.texts,
  });
  const keep = useWrite('PUT /api/agencies/:id/brand');
  const readable = isColour(draft.accent) && contrast(draft.accent, '#ffffff') >= CONTRAST_MIN;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    keep.mutate({ params: { id: agencyId }, body: { ...draft, accent: draft.accent.toLowerCase() } });
  };
  const text = (language: Language, part: keyof BrandTexts) => ({
    label: `${t(`brand.${part}`)} · ${t(`language.${language}`)}`,
    value: draft.texts[language]?.[part] ?? '',
    onText: (value: string) => {
      const before = draft.texts[language] ?? { intro: null, closing: null };
      const texts = { ...before, [part]: value.trim() === '' ? null : value };
      setDraft({ ...draft, texts: { ...draft.texts, [language]: texts } });
    },
  });
  return (
    <form onSubmit={submit} className="grid items-start gap-5 xl:grid-cols-2">
      <Card title={title}>
        <fieldset disabled={!admin} className="flex flex-col gap-6">
          {keep.error !== null && <Problem error={keep.error} />}
          {keep.isSuccess && (
            <p role="status" className="rounded-lg bg-good-tint px-4 py-2.5 text-good">
              {t('brand.saved')}
            </p>
          )}
          <LogoField logo={draft.logo} onLogo={(logo) => setDraft({ ...draft, logo })} />
          <AccentField
            accent={draft.accent}
            readable={readable}
            onAccent={(accent) => setDraft({ ...draft, accent })}
          />
          <div className="grid gap-4">
            {LANGUAGES.flatMap((language) =>
              (['intro', 'closing'] as const).map((part) => (
                <LongText
                  key={`${language} ${part}`}
                  {...text(language, part)}
                  placeholder={t(`brand.${part}.usual`)}
                />
              )),
            )}
          </div>
          {admin && (
            <div>
              <Button kind="primary" type="submit" busy={keep.isPending} disabled={!readable}>
                {t('save')}
              </Button>
            </div>
          )}
        </fieldset>
      </Card>
      <Preview draft={draft} />
    </form>
  );
}

function LogoField({
  logo,
  onLogo,
}: {
  readonly logo: BrandLogo | null;
  readonly onLogo: (logo: BrandLogo | null) => void;
}) {
  const t = useT();
  const id = useId();
  const [problem, setProblem] = useState<string | null>(null);
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    event.target.value = '';
    if (file === undefined) return;
    if (!TYPES.includes(file.type)) return setProblem(t('brand.logo.type'));
    if (file.size > LOGO_BYTES_MAX) return setProblem(t('brand.logo.size'));
    setProblem(null);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const data = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    onLogo({ type: file.type, data });
  };
  return (
    <div className="flex flex-col gap-2">
      <label htmlFor={id} className="text-sm font-medium">
        {t('brand.logo')}
      </label>
      {logo !== null && (
        <div className="flex flex-wrap items-center gap-3">
          <Logo of={logo} />
          <Button kind="quiet" onClick={() => onLogo(null)}>
            {t('brand.logo.remove')}
          </Button>
        </div>
      )}
      <div>
        <input
          id={id}
          type="file"
          accept={TYPES.join(',')}
          onChange={(event) => void choose(event)}
          aria-describedby={`${id}-hint`}
          className="max-w-full text-sm file:mr-3 file:min-h-10 file:cursor-pointer file:rounded-lg file:border file:border-strong file:bg-surface file:px-3.5 file:font-medium file:text-ink"
        />
      </div>
      <p
        id={`${id}-hint`}
        role={problem === null ? undefined : 'alert'}
        className={`text-sm ${problem === null ? 'text-soft' : 'text-bad'}`}
      >
        {problem ?? t('brand.logo.hint')}
      </p>
    </div>
  );
}

/** On white as on paper, whatever the appearance: logos are drawn for paper. */
function Logo({ of: { type, data } }: { readonly of: BrandLogo }) {
  const t = useT();
  return (
    <img
      src={`data:${type};base64,${data}`}
      alt={t('brand.logo')}
      className="h-14 max-w-48 rounded-lg border border-line bg-white object-contain p-2"
    />
  );
}

function AccentField({
  accent,
  readable,
  onAccent,
}: {
  readonly accent: string;
  readonly readable: boolean;
  readonly onAccent: (accent: string) => void;
}) {
  const t = useT();
  const id = useId();
  return (
    <div className="flex flex-col gap-2">
      <label htmlFor={id} className="text-sm font-medium">
        {t('brand.accent')}
      </label>
      <div className="flex items-center gap-3">
        <input
          type="color"
          aria-label={t('brand.accent.pick')}
          value={isColour(accent) ? accent : PLAIN_ACCENT}
          onChange={(event) => onAccent(event.target.value)}
          className="h-10 w-14 cursor-pointer rounded-lg border border-strong bg-surface p-1"
        />
        <input
          id={id}
          value={accent}
          onChange={(event) => onAccent(event.target.value.trim())}
          aria-invalid={!readable}
          aria-describedby={`${id}-hint`}
          className="field max-w-32 font-mono"
        />
      </div>
      <p id={`${id}-hint`} className={`text-sm ${readable ? 'text-soft' : 'text-bad'}`}>
        {isColour(accent)
          ? t(readable ? 'brand.accent.good' : 'brand.accent.bad', {
              contrast: contrast(accent, '#ffffff').toFixed(1),
            })
          : t('brand.accent.rule')}
      </p>
    </div>
  );
}

function LongText({
  label,
  value,
  placeholder,
  onText,
}: {
  readonly label: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onText: (text: string) => void;
}) {
  const id = useId();
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      <textarea
        id={id}
        rows={2}
        maxLength={600}
        value={value}
        placeholder={placeholder}
        onChange={(event) => onText(event.target.value)}
        className="field"
      />
    </div>
  );
}

/** The head of an invoice and of the tenants' console, as they will look. */
function Preview({ draft: { accent, logo } }: { readonly draft: Draft }) {
  const t = useT();
  const { agency } = useSession();
  const colour = isColour(accent) ? accent : PLAIN_ACCENT;
  return (
    <Card title={t('brand.preview')}>
      <div className="flex flex-col gap-5">
        <figure className="m-0">
          <div className="rounded-lg border border-line bg-white p-6 text-[#1b2421]">
            <div className="flex min-h-12 justify-end">
              {logo === null ? (
                <span className="text-lg font-semibold" style={{ color: colour }}>
                  {agency.name}
                </span>
              ) : (
                <img
                  src={`data:${logo.type};base64,${logo.data}`}
                  alt=""
                  className="h-12 max-w-48 object-contain"
                />
              )}
            </div>
            <p className="mt-6 text-xl font-semibold" style={{ color: colour }}>
              {t('brand.preview.invoice')}
            </p>
            <div className="mt-3 h-0.5" style={{ background: colour }} />
            <div className="mt-3 flex flex-col gap-2">
              {[90, 72, 80].map((width) => (
                <span key={width} className="h-2 rounded bg-[#e2dfd6]" style={{ width: `${width}%` }} />
              ))}
            </div>
          </div>
          <figcaption className="mt-2 text-sm text-soft">{t('brand.preview.paper')}</figcaption>
        </figure>
        <figure className="m-0">
          <div className="grid grid-cols-2 overflow-hidden rounded-lg border border-line">
            <Swatch accent={colour} ink="#ffffff" paper="#ffffff" />
            <Swatch accent={forDark(colour)} ink="#0e1312" paper="#161d1b" />
          </div>
          <figcaption className="mt-2 text-sm text-soft">{t('brand.preview.console')}</figcaption>
        </figure>
      </div>
    </Card>
  );
}

function Swatch({
  accent,
  ink,
  paper,
}: {
  readonly accent: string;
  readonly ink: string;
  readonly paper: string;
}) {
  const t = useT();
  return (
    <div className="flex flex-col items-start gap-3 p-5" style={{ background: paper }}>
      <span className="font-medium" style={{ color: accent }}>
        {t('overview.all')}
      </span>
      <span className="rounded-lg px-3.5 py-2 font-medium" style={{ background: accent, color: ink }}>
        {t('save')}
      </span>
    </div>
  );
}
