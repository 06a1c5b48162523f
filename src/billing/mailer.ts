import { createTransport } from 'nodemailer';

/** Sends mails; the only file that knows how. */
export interface Mail {
  /** Without brackets; the same for every attempt, so that mail servers may notice a repetition. */
  readonly messageId: string;
  readonly from: string;
  readonly to: string;
  readonly replyTo: string | null;
  readonly subject: string;
  readonly text: string;
  readonly attachments: readonly {
    readonly name: string;
    readonly mediaType: string;
    readonly bytes: Buffer;
  }[];
}

export type MailResult =
  | { readonly kind: 'accepted' }
  /** The server will never take this mail. */
  | { readonly kind: 'refused'; readonly problem: string }
  | { readonly kind: 'failed'; readonly problem: string };

export type SendMail = (mail: Mail) => Promise<MailResult>;

const CONNECT_MS_MAX = 10_000;
const SILENCE_MS_MAX = 30_000;

export function smtpMailer(url: string): SendMail {
  const transport = createTransport({
    url,
    connectionTimeout: CONNECT_MS_MAX,
    greetingTimeout: CONNECT_MS_MAX,
    socketTimeout: SILENCE_MS_MAX,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return async ({ messageId, from, to, replyTo, subject, text, attachments }) => {
    try {
      await transport.sendMail({
        messageId: `<${messageId}>`,
        from,
        to,
        subject,
        text,
        ...(replyTo === null ? {} : { replyTo }),
        attachments: attachments.map(({ name, mediaType, bytes }) => ({
          filename: name,
          contentType: mediaType,
          content: bytes,
        })),
      });
      return { kind: 'accepted' };
    } catch (error) {
      return failureOf(error);
    }
  };
}

/** What the server says is quoted, but for an answer to a log-in. */
function failureOf(error: unknown): MailResult {
  const { code, responseCode, response } = error as {
    readonly code?: string;
    readonly responseCode?: number;
    readonly response?: string;
  };
  if (code === 'EAUTH') return { kind: 'failed', problem: 'the mail server does not accept the log-in' };
  if (responseCode === undefined) {
    return { kind: 'failed', problem: `the mail server could not be reached (${code ?? 'no code'})` };
  }
  const problem = `the mail server answered: ${String(response).slice(0, 200)}`;
  return { kind: responseCode >= 500 ? 'refused' : 'failed', problem };
}
