import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';
import { useT } from '../context.tsx';
import { Button } from './basics.tsx';
import { Icon } from './icons.tsx';

/**
 * The browser's own modal dialog: it keeps the focus inside, closes with Escape, makes the rest of the
 * page inert, and needs no style that the content policy would refuse.
 */
export function Dialog({
  title,
  children,
  onClose,
  wide = false,
  fixed = false,
}: {
  readonly title: string;
  readonly children: ReactNode;
  readonly onClose: () => void;
  readonly wide?: boolean;
  /** Only its own buttons close it: what it shows is shown once. */
  readonly fixed?: boolean;
}) {
  const t = useT();
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const id = useId();
  // Before the dialog leaves the page, or the browser would not give the focus back to where it was.
  useLayoutEffect(() => {
    const dialog = ref.current;
    if (dialog?.open === false) {
      dialog.showModal();
      // The browser would choose the button that closes it.
      const [field] = dialog.querySelectorAll<HTMLElement>('input, select');
      (field ?? heading.current)?.focus();
    }
    return () => dialog?.close();
  }, []);
  useLayoutEffect(() => {
    // What had the focus may be gone with what was shown before: read on at the new title.
    if (ref.current?.contains(document.activeElement) === false || document.activeElement === ref.current)
      heading.current?.focus();
  }, [title]);
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!fixed) onClose();
      }}
      className={`m-auto max-h-[92dvh] w-[calc(100%-2rem)] rounded-2xl border border-line bg-surface p-0 shadow-2xl ${wide ? 'max-w-3xl' : 'max-w-xl'}`}
    >
      <div className="appear flex flex-col gap-4 p-6">
        <div className="flex items-start justify-between gap-4">
          <h2 ref={heading} id={id} tabIndex={-1} className="text-lg font-semibold outline-none">
            {title}
          </h2>
          {!fixed && (
            <button
              type="button"
              onClick={onClose}
              aria-label={t('close')}
              className="-mt-1 -mr-2 rounded-lg p-2 text-soft hover:bg-sunken hover:text-ink"
            >
              <Icon name="close" />
            </button>
          )}
        </div>
        {children}
      </div>
    </dialog>
  );
}

export function DialogButtons({ children }: { readonly children: ReactNode }) {
  return <div className="flex flex-wrap justify-end gap-2 pt-2">{children}</div>;
}

/** Of a dialog that shows something for the only time: it closes when that was kept. */
export function Kept({ onClose }: { readonly onClose: () => void }) {
  const t = useT();
  return (
    <DialogButtons>
      <Button kind="primary" onClick={onClose}>
        {t('secret.kept')}
      </Button>
    </DialogButtons>
  );
}

/** Of a dialog with a form; `children` says what sending it does. */
export function CancelOrSend({
  onClose,
  kind = 'primary',
  busy,
  children,
}: {
  readonly onClose: () => void;
  readonly kind?: 'primary' | 'danger';
  readonly busy: boolean;
  readonly children: ReactNode;
}) {
  const t = useT();
  return (
    <DialogButtons>
      <Button onClick={onClose}>{t('cancel')}</Button>
      <Button kind={kind} type="submit" busy={busy}>
        {children}
      </Button>
    </DialogButtons>
  );
}
