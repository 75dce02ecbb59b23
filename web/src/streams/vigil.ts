// What is too long: silence, waiting in vain, and a sleep of the machine.
import type { Environment } from "./environment";

const LOOK = 5_000;
const ANSWER = 15_000;
// The gateway says something every 15 s, if only a comment.
const SILENCE = 40_000;
const OFFLINE_SILENCE = 20_000;
// Timers of a page that nobody sees may come a minute late, of a machine that sleeps much later.
const SLEPT = 120_000;

/** `silent`: the connection is to be given up; `slept`: likewise, and all is begun anew; `vain`: there is no more patience. */
export type Finding = "silent" | "slept" | "vain";

/**
 * Looks at a stream's clocks every 5 s.
 *
 * @param patience milliseconds that may go by without an event, while there is a network
 */
export class Vigil {
  /** Whether the present connection has been taken by its server. */
  opened = false;
  #aliveAt: number;
  #progressAt: number;
  #lookedAt: number;
  #offlineAt = -Infinity;
  #cancel: () => void;

  constructor(
    private readonly environment: Environment,
    private readonly patience: () => number,
    private readonly found: (finding: Finding) => void,
  ) {
    this.#aliveAt = this.#progressAt = this.#lookedAt = environment.now();
    this.#cancel = environment.later(() => this.#look(), LOOK);
  }

  /** Milliseconds of patience that are left. */
  get left(): number {
    return this.patience() - (this.environment.now() - this.#progressAt);
  }

  /** Whether nothing has come since the network went. */
  get cutOff(): boolean {
    return this.opened && this.#aliveAt <= this.#offlineAt;
  }

  /** Something has come. */
  alive(): void {
    this.#aliveAt = this.environment.now();
  }

  /** An event has come, or waiting begins anew. */
  progress(): void {
    this.#progressAt = this.#lookedAt = this.environment.now();
  }

  /** The network has gone. */
  offline(): void {
    this.#offlineAt = this.environment.now();
  }

  end(): void {
    this.#cancel();
  }

  #look(): void {
    this.#cancel = this.environment.later(() => this.#look(), LOOK);
    const now = this.environment.now();
    const online = this.environment.online();
    const slept = now - this.#lookedAt > SLEPT || now < this.#lookedAt;
    this.#lookedAt = now;
    if (slept || !online) this.#progressAt = now;
    const most = !this.opened ? ANSWER : online ? SILENCE : OFFLINE_SILENCE;
    if (slept) this.found("slept");
    else if (this.left < 0) this.found("vain");
    else if (now - this.#aliveAt > most) this.found("silent");
  }
}
