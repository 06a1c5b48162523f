import { refusals } from './refusals.ts';

export type RefusalCode = keyof typeof refusals;
export type RefusalDetail = Readonly<Record<string, string | number | null>>;

/** An expected "no". Anything else that is thrown is a defect and becomes a 500. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly status: number;
  readonly type: string;
  /** The request field at fault, as LiteLLM names it; null when none is. */
  readonly param: string | null;
  /** Public facts: level, limit, value, reset time … whatever the sentence needs and a client may use. */
  readonly detail: RefusalDetail;
  /** Whole seconds after which a retry may succeed; null when retrying is pointless. */
  readonly retryAfterSeconds: number | null;

  constructor(
    code: RefusalCode,
    detail: RefusalDetail = {},
    options: { readonly param?: string; readonly retryAfterSeconds?: number; readonly status?: number } = {},
  ) {
    const [status, type, template] = refusals[code];
    super(template.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(detail[name] ?? '')));
    this.code = code;
    this.status = options.status ?? status;
    this.type = type;
    this.param = options.param ?? null;
    this.detail = detail;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}

export function isRefusal(error: unknown, code: RefusalCode): boolean {
  return error instanceof Refusal && error.code === code;
}

/** The one body every error has, in the shape LiteLLM and OpenAI clients read. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    /** The HTTP status as a string, as LiteLLM sends it. */
    readonly code: string;
    /** Our stable name of the refusal. */
    readonly reason: string;
    readonly detail?: RefusalDetail;
    /** Set on unexpected failures: quote it to find the log line. */
    readonly id?: string;
  };
}

export function refusalBody(refusal: Refusal): ErrorBody {
  return {
    error: {
      message: refusal.message,
      type: refusal.type,
      param: refusal.param,
      code: String(refusal.status),
      reason: refusal.code,
      ...(Object.keys(refusal.detail).length > 0 ? { detail: refusal.detail } : {}),
    },
  };
}

export function defectBody(id: string): ErrorBody {
  const message = `Internal server error. Quote the id ${id} when you report it.`;
  return {
    error: { message, type: 'internal_server_error', param: null, code: '500', reason: 'defect', id },
  };
}
