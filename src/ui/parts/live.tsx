import { useLive } from '../api/live.ts';
import { useT } from '../context.tsx';

/** Whether what is shown follows by itself, at once or every few seconds. */
export function LiveBadge() {
  const t = useT();
  const isLive = useLive();
  return (
    <span
      data-live={isLive}
      className={`inline-flex items-center gap-1.5 rounded-full px-2 py-0.5 text-sm font-medium ${isLive ? 'bg-good-tint text-good' : 'bg-sunken text-soft'}`}
    >
      <span
        aria-hidden="true"
        className={`size-1.5 rounded-full bg-current ${isLive ? 'motion-safe:animate-pulse' : ''}`}
      />
      {t(isLive ? 'live.on' : 'live.off')}
    </span>
  );
}
