import type { StepDeps } from './provider-steps.ts';

/**
 * Who may hand a mail to the mail server. The claim is durable before the first byte of the mail, so a
 * process that took over from one that only lost its lock does not send beside it.
 */
const stepKey = (taskId: string): string => `mail ${taskId}`;
/** Longer than any attempt takes: connecting, greeting, and every silence of the server together. */
const ATTEMPT_MS_MAX = 5 * 60_000;
const ACCEPTED = JSON.stringify('accepted');

/** `mine`: it may be sent now; `elsewhere`: an attempt was begun that has not ended, as far as is known. */
export async function claimMail(
  { pool, now }: StepDeps,
  taskId: string,
): Promise<'mine' | 'accepted' | 'elsewhere'> {
  const at = now();
  const over = new Date(Date.parse(at) - ATTEMPT_MS_MAX).toISOString();
  const { rowCount } = await pool.query(
    `insert into provider_steps (step_key, begun_at, generation) values ($1, $2, 1)
     on conflict (step_key) do update
     set begun_at = $2, generation = provider_steps.generation + 1, spoilt = false
     where provider_steps.result is null and (provider_steps.spoilt or provider_steps.begun_at <= $3)`,
    [stepKey(taskId), at, over],
  );
  if (rowCount === 1) return 'mine';
  const { rows } = await pool.query<{ readonly sent: boolean }>(
    'select result is not null as sent from provider_steps where step_key = $1',
    [stepKey(taskId)],
  );
  return rows[0]?.sent === true ? 'accepted' : 'elsewhere';
}

/** The server has answered: it has the mail, or it may be tried again at any time. */
export async function endMail({ pool }: StepDeps, taskId: string, accepted: boolean): Promise<void> {
  await pool.query('update provider_steps set result = $2, spoilt = $3 where step_key = $1', [
    stepKey(taskId),
    accepted ? ACCEPTED : null,
    !accepted,
  ]);
}
