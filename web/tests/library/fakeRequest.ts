/** An XMLHttpRequest that a test answers. */
export class FakeRequest {
  static made: FakeRequest[] = [];
  readonly upload: { onprogress?: (event: { loaded: number; total: number }) => void; onload?: () => void } = {};
  readonly headers = new Map<string, string>();
  onload?: () => void;
  onerror?: () => void;
  url = "";
  body: unknown;
  status = 0;
  statusText = "";
  responseText = "";
  aborted = false;
  private readonly answered = new Map<string, string>();

  constructor() {
    FakeRequest.made.push(this);
  }

  open(_method: string, url: string): void {
    this.url = url;
  }

  setRequestHeader(name: string, value: string): void {
    this.headers.set(name, value);
  }

  getResponseHeader(name: string): string | null {
    return this.answered.get(name) ?? null;
  }

  send(body: unknown): void {
    this.body = body;
  }

  abort(): void {
    this.aborted = true;
  }

  answer(status: number, body: object, headers: Record<string, string> = {}): void {
    this.status = status;
    this.responseText = JSON.stringify(body);
    for (const [name, value] of Object.entries(headers)) this.answered.set(name, value);
    this.onload?.();
  }
}

export const newRequest = () => new FakeRequest() as unknown as XMLHttpRequest;
