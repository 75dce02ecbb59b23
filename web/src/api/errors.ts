/** What the gateway says when it refuses: see the schema `Error` of /openapi.json. */
export interface ErrorBody {
  code: string;
  reason: string;
  message: string;
  fields: Record<string, string>;
}

/** A request that was refused or that nobody answered (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
    /** When to come back, in seconds; undefined: it was not said. */
    readonly retryAfter?: number,
  ) {
    super(body.message);
    this.name = "ApiError";
  }

  get reason(): string {
    return this.body.reason;
  }

  /** What is wrong, by field of the request. */
  get fields(): Record<string, string> {
    return this.body.fields;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** Nobody answered: the network is away, or what it leads to. */
  static unreachable(cause: unknown): ApiError {
    const body = { code: "UNAVAILABLE", reason: "UNREACHABLE", message: "Gaji does not answer.", fields: {} };
    return Object.assign(new ApiError(0, body), { cause });
  }

  /** What an answer with a status of 400 or above says, whoever gave it. */
  static async of(response: Response): Promise<ApiError> {
    let said: unknown;
    try {
      said = await response.json();
    } catch {
      // Not the gateway's own: a proxy's page, or an answer that was cut.
    }
    return ApiError.saying(response, said);
  }

  /** The same of an answer whose body was read. */
  static saying(response: Response, said: unknown): ApiError {
    const body: ErrorBody = {
      code: "UNKNOWN",
      reason: `HTTP_${response.status}`,
      message: response.statusText,
      fields: {},
      ...(said as { error?: Partial<ErrorBody> } | null | undefined)?.error,
    };
    const seconds = Number(response.headers.get("retry-after") ?? NaN);
    return new ApiError(response.status, body, Number.isFinite(seconds) ? seconds : undefined);
  }
}
