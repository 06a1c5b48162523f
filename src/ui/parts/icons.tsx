/** Line icons, drawn on a grid of 20. They only accompany words and are hidden from screen readers. */
const PATHS = {
  overview: 'M3 11.5 10 4l7 7.5M5 10v6h10v-6',
  tenants: 'M4 17V5l6-2v14M10 8h6v9M3 17h14M6.5 7.5h1M6.5 10.5h1M6.5 13.5h1M13 11h.5M13 14h.5',
  keys: 'M7 12.5a3.5 3.5 0 1 1 0-7 3.5 3.5 0 0 1 0 7Zm3.2-2.6L17 9.9v3M14 10v2',
  usage: 'M4 16V9M8 16V5M12 16v-5M16 16V7',
  requests: 'M4 5h12M4 10h12M4 15h7',
  invoices: 'M5 3h10v14l-2-1.2L11.5 17 10 15.8 8.500 17 7 15.8 5 17ZM8 7h4M8 10h4',
  plans: 'M4 5h12v4H4zM4 11h12v4H4z',
  models: 'M10 3 16 6.500v7L10 17l-6-3.500v-7ZM4 6.500 10 10l6-3.500M10 10v7',
  audit: 'M10 3l6 2v5c0 3.600-2.600 6-6 7-3.400-1-6-3.400-6-7V5ZM7.500 10l1.800 1.800L12.800 8',
  team: 'M7.500 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5ZM3 16c0-2.500 2-4 4.500-4s4.500 1.500 4.500 4M13 9a2 2 0 1 0-.5-3.900M14 12c2 .3 3 1.800 3 4',
  access: 'M4 5h12v10H4zM7 8.500l2 1.500-2 1.500M10.500 12h3',
  settings: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4v4M7 12v4',
  menu: 'M3 6h14M3 10h14M3 14h14',
  close: 'M5 5l10 10M15 5 5 15',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  check: 'M4 10.500l4 4 8-9',
  download: 'M10 3v10M6 9.500l4 4 4-4M4 17h12',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 14a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM13 13l4 4',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  alert: 'M10 3 18 17H2ZM10 8v4M10 14.500v.2',
  out: 'M8 4H4v12h4M8 10h9M13.500 6.500 17 10l-3.500 3.500',
  clock: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM10 6v4l2.500 2',
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({
  name,
  className = 'size-5',
}: {
  readonly name: IconName;
  readonly className?: string;
}) {
  return (
    <svg
      viewBox="0 0 20 20"
      className={`shrink-0 ${className}`}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark({ className = 'size-8' }: { readonly className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={`shrink-0 ${className}`} aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#0b5d4e" />
      <path
        d="M8 10h16M8 22h16M8 25h16"
        stroke="#9fe3cf"
        strokeWidth="1.6"
        strokeLinecap="round"
        opacity=".75"
      />
      <circle cx="12" cy="16" r="3.1" fill="none" stroke="#fff" strokeWidth="2.2" />
      <path
        d="M15.2 16H24v2.8M20.4 16v2.2"
        fill="none"
        stroke="#fff"
        strokeWidth="2.2"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
