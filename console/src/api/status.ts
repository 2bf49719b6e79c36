// The metav1 Status every part of the platform answers errors with, and the error made of it.

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface Status {
  kind: "Status";
  status?: string;
  message?: string;
  reason?: string;
  code?: number;
  details?: { name?: string; kind?: string; retryAfterSeconds?: number; causes?: StatusCause[] };
}

export function isStatus(value: unknown): value is Status {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "Status";
}

/** A request that failed. `code` is 0 when no answer came at all. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly causes: readonly StatusCause[];
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: Status, extra: { requestId?: string | undefined; retryAfterSeconds?: number | undefined } = {}) {
    super(typeof status.message === "string" ? status.message : "");
    this.name = "ApiError";
    this.code = status.code ?? 0;
    this.reason = status.reason ?? "";
    this.causes = Array.isArray(status.details?.causes) ? status.details.causes : [];
    this.requestId = extra.requestId;
    this.retryAfterSeconds = extra.retryAfterSeconds ?? status.details?.retryAfterSeconds;
  }

  static unreachable(): ApiError {
    return new ApiError({ kind: "Status", code: 0, reason: "Unreachable", message: "" });
  }

  /** Reads the error out of a response that is not ok. Bodies that are no Status keep only their code. */
  static async from(response: Response): Promise<ApiError> {
    const requestId = response.headers.get("X-Request-Id") ?? response.headers.get("Audit-Id") ?? undefined;
    const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
    const extra = { requestId, retryAfterSeconds: Number.isFinite(seconds) ? seconds : undefined };
    const body: unknown = await response.json().catch(() => undefined);
    const fallback: Status = { kind: "Status", message: `HTTP ${response.status} ${response.statusText}`.trim() };
    return new ApiError({ ...(isStatus(body) ? body : fallback), code: response.status }, extra);
  }
}

export interface FieldErrors<Field extends string> {
  fields: Partial<Record<Field, string>>;
  /** What no known field can show. */
  rest: string[];
}

/**
 * Sorts an error's causes under the form's fields.
 *
 * The server names fields by path (`spec.name`, `kubeconfig.users[0].exec`), of which ours are a part; where several are,
 * the longest wins (`groupSearch.filter` is not `filter`). Without causes the message itself is shown.
 */
export function fieldErrors<Field extends string>(error: ApiError, known: readonly Field[]): FieldErrors<Field> {
  const fields: Partial<Record<Field, string>> = {};
  const rest: string[] = [];
  const longestFirst = known.toSorted((a, b) => b.length - a.length);
  for (const cause of error.causes) {
    const path = `.${(cause.field ?? "").replaceAll(/[[\]]/g, ".")}.`;
    const field = longestFirst.find((name) => path.includes(`.${name}.`));
    const message = cause.message ?? cause.reason ?? error.message;
    if (!field) rest.push(message);
    else fields[field] = fields[field] ? `${fields[field]}\n${message}` : message;
  }
  if (error.causes.length === 0) rest.push(error.message);
  return { fields, rest };
}
