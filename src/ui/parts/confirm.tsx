import type { ReactNode } from 'react';
import type { ApiError } from '../api/client.ts';
import { useT } from '../context.tsx';
import { Button, type ButtonKind } from './basics.tsx';
import { Dialog, DialogButtons } from './dialog.tsx';
import { Problem } from './states.tsx';

/** Asks before something is done that one may regret, and says what it leads to. */
export function Confirm({
  title,
  action,
  kind = 'danger',
  of: { error, isPending },
  isReady = true,
  onConfirm,
  onClose,
  children,
}: {
  readonly title: string;
  /** What the button that does it says. */
  readonly action: string;
  readonly kind?: ButtonKind;
  /** The write that does it. */
  readonly of: { readonly error: ApiError | null; readonly isPending: boolean };
  readonly isReady?: boolean;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const t = useT();
  return (
    <Dialog title={title} onClose={onClose}>
      {error !== null && <Problem error={error} />}
      {children}
      <DialogButtons>
        <Button onClick={onClose}>{t('cancel')}</Button>
        <Button kind={kind} disabled={!isReady} busy={isPending} onClick={onConfirm}>
          {action}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
