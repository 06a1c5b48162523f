import {
  type ComponentProps,
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  useEffect,
  useId,
  useRef,
} from 'react';

/** Fields with a label, a hint, and the API's own complaint beneath. */
interface FieldFrame {
  readonly label: string;
  readonly hint?: ReactNode;
  readonly problem?: string | undefined;
}

function Frame({
  id,
  label,
  hint,
  problem,
  children,
}: FieldFrame & { readonly id: string; readonly children: ReactNode }) {
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children}
      {hint !== undefined && problem === undefined && (
        <p id={`${id}-hint`} className="text-sm text-soft">
          {hint}
        </p>
      )}
      {problem !== undefined && (
        <p id={`${id}-hint`} role="alert" className="text-sm text-bad">
          {problem}
        </p>
      )}
    </div>
  );
}

type TextProps = FieldFrame &
  Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & { readonly onText: (text: string) => void };

export function TextField({ label, hint, problem, onText, className = '', ...rest }: TextProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // After a refusal one is where something is to be corrected; who is typing stays where they are.
    const first = input.current?.form?.querySelector('[aria-invalid="true"]');
    const isTyping = document.activeElement instanceof HTMLInputElement;
    if (problem !== undefined && !isTyping && first === input.current) input.current?.focus();
  }, [problem]);
  return (
    <Frame id={id} label={label} hint={hint} problem={problem}>
      <input
        {...rest}
        ref={input}
        id={id}
        className={`field ${className}`}
        onChange={(event) => onText(event.target.value)}
        aria-invalid={problem !== undefined}
        aria-describedby={hint === undefined && problem === undefined ? undefined : `${id}-hint`}
      />
    </Frame>
  );
}

export type Choice = readonly [value: string, label: string];
type SelectProps = FieldFrame &
  Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange'> & {
    readonly choices: readonly Choice[];
    readonly onText: (value: string) => void;
  };

export function SelectField({ label, hint, problem, choices, onText, className = '', ...rest }: SelectProps) {
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint} problem={problem}>
      <select
        {...rest}
        id={id}
        className={`field ${className}`}
        onChange={(event) => onText(event.target.value)}
        aria-describedby={hint === undefined && problem === undefined ? undefined : `${id}-hint`}
      >
        {choices.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </Frame>
  );
}

export function CheckField({
  label,
  checked,
  onCheck,
  ...rest
}: {
  readonly label: ReactNode;
  readonly checked: boolean;
  readonly onCheck: (checked: boolean) => void;
} & Omit<ComponentProps<'input'>, 'onChange' | 'checked' | 'type'>) {
  return (
    <label className="inline-flex min-h-8 items-center gap-2">
      <input
        {...rest}
        type="checkbox"
        className="size-4.5 accent-[var(--accent)]"
        checked={checked}
        onChange={(event) => onCheck(event.target.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
