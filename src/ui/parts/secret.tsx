import { useState } from 'react';
import { useT } from '../context.tsx';
import { Button } from './basics.tsx';
import { Icon } from './icons.tsx';

/** Secrets as they are shown once: to copy, or to take along as a file. */
export interface ShownSecret {
  readonly name: string;
  readonly secret: string;
}

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const t = useT();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <Button kind="quiet" icon={copied ? 'check' : 'copy'} aria-label={label} onClick={() => void copy()}>
      <span aria-live="polite" className="hidden sm:inline">
        {copied ? t('copied') : t('copy')}
      </span>
    </Button>
  );
}

export function Secrets({
  secrets,
  file,
  opens = 'models',
}: {
  readonly secrets: readonly ShownSecret[];
  readonly file: string;
  /** What the secrets are for, which the file says. */
  readonly opens?: 'models' | 'api';
}) {
  const t = useT();
  return (
    <div className="flex flex-col gap-3">
      <p className="flex gap-2 rounded-lg bg-warn-tint px-4 py-3 text-warn">
        <Icon name="alert" />
        {t('secret.once')}
      </p>
      <ul className="divide-y divide-line rounded-lg border border-line">
        {secrets.map(({ name, secret }) => (
          <li key={name} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-4 py-2">
            <span className="w-full text-sm text-soft sm:w-52 sm:truncate" title={name}>
              {name}
            </span>
            <code className="min-w-0 flex-1 font-mono text-sm break-all" data-secret={name}>
              {secret}
            </code>
            <CopyButton text={secret} label={t('secret.copy', { name })} />
          </li>
        ))}
      </ul>
      <div>
        <Button icon="download" onClick={() => download(`${file}.env`, envFile(secrets, opens))}>
          {t('secret.env')}
        </Button>
      </div>
    </div>
  );
}

/** `SHOP_PRODUCTION_API_KEY=sk-…`, with where to use it. */
function envFile(secrets: readonly ShownSecret[], opens: 'models' | 'api'): string {
  const lines = secrets.map(({ name, secret }) => {
    const variable = name
      .normalize('NFKD')
      .replaceAll(/[^A-Za-z0-9]+/g, '_')
      .toUpperCase();
    return `${variable}_API_KEY=${secret}`;
  });
  const { origin } = location;
  const place = opens === 'models' ? `OPENAI_BASE_URL=${origin}/v1` : `KEYLEDGER_URL=${origin}`;
  return [place, ...lines, ''].join('\n');
}

export function download(name: string, text: string, mediaType = 'text/plain;charset=utf-8'): void {
  const url = URL.createObjectURL(new Blob([text], { type: mediaType }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}
