import { useEffect, useRef } from 'react';

/** Parts of one page, of which one shows. Which one stands in the address. */
export function Tabs<Name extends string>({
  label,
  tabs,
  shown,
  onShow,
}: {
  readonly label: string;
  readonly tabs: readonly (readonly [name: Name, title: string])[];
  readonly shown: Name;
  readonly onShow: (name: Name) => void;
}) {
  const here = useRef<HTMLButtonElement>(null);
  // Where there is no room for all of them, the one that shows is in sight.
  useEffect(() => here.current?.scrollIntoView({ block: 'nearest', inline: 'center' }), [shown]);
  return (
    <nav aria-label={label} className="flex gap-1 overflow-x-auto border-b border-line">
      {tabs.map(([name, title]) => (
        <button
          key={name}
          type="button"
          ref={shown === name ? here : undefined}
          aria-current={shown === name ? 'page' : undefined}
          onClick={() => onShow(name)}
          className={`-mb-px border-b-2 px-4 py-2 font-medium whitespace-nowrap -outline-offset-2 ${shown === name ? 'border-accent text-accent' : 'border-transparent text-soft hover:text-ink'}`}
        >
          {title}
        </button>
      ))}
    </nav>
  );
}
