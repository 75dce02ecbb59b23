// Who the reader is. Tokens live in HttpOnly cookies that no script sees; here is only whether there is a session, and
// whose. A reader without one is a guest from the first request on.
import { computed, ref } from "vue";
import { alone, anyOf } from "./browser";
import { ApiError } from "./errors";
import type { User } from "./types";

const LOCK = "gaji.session";
const KNOWN = "gaji.known";
const SECONDS = 15;

/** The reader; undefined until the first answer. */
export const user = ref<User>();
export const guest = computed(() => user.value?.guest ?? true);

/** What tabs tell each other: another is the reader; the reader is the same one, and has an account now. */
type Heard = "changed" | "named";
/** What a tab keeps for its reader: drafts of messages and of what-ifs. */
const DRAFTS = /^gaji\.(draft|scenario)\./;
const tabs = new BroadcastChannel("gaji.session");
const listeners = new Set<() => void>();
let generation = 0;

tabs.onmessage = ({ data }: MessageEvent<Heard>) => {
  if (data === "changed") changed();
  else void whoAmI().catch(() => undefined);
};

/** Calls back when somebody else is the reader, in whichever tab that happened. Returns how to stop that. */
export function onReaderChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function changed(): void {
  generation += 1;
  for (const key of Object.keys(sessionStorage)) if (DRAFTS.test(key)) sessionStorage.removeItem(key);
  void whoAmI().catch(() => undefined);
  for (const listener of listeners) listener();
}

async function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const limit = AbortSignal.timeout(SECONDS * 1000);
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: signal ? anyOf(limit, signal) : limit,
    });
  } catch (error) {
    throw ApiError.unreachable(error);
  }
}

async function readUser(): Promise<Response> {
  try {
    return await fetch("/api/users/me", { signal: AbortSignal.timeout(SECONDS * 1000) });
  } catch (error) {
    throw ApiError.unreachable(error);
  }
}

/** Resolves when a stranger has been made a guest; at once for everybody else. What is asked before would be refused. */
export let welcomed: Promise<unknown> = Promise.resolve();

/** Asks who the reader is; makes a guest of somebody who is nobody yet. */
export function whoAmI(): Promise<User> {
  const asked = askWhoIAm();
  if (localStorage.getItem(KNOWN) === null) welcomed = asked.catch(() => undefined);
  return asked;
}

async function askWhoIAm(): Promise<User> {
  let response = await readUser();
  if (response.status === 401) {
    await renew();
    response = await readUser();
  }
  if (!response.ok) throw await ApiError.of(response);
  user.value = (await response.json()) as User;
  localStorage.setItem(KNOWN, "yes");
  return user.value;
}

/**
 * Gets a new session for one that has expired: by the refresh cookie, else as a new guest. Of all tabs that ask at one
 * time one does it, and the others find the cookies that it got.
 */
export async function renew(): Promise<void> {
  const asked = generation;
  await alone(LOCK, async () => {
    if (generation !== asked || (await readUser()).ok) return; // another has done it meanwhile
    const refreshed = await post("/api/auth/refresh", {});
    if (refreshed.ok) {
      generation += 1;
      return;
    }
    if (refreshed.status >= 500 || refreshed.status === 429) throw await ApiError.of(refreshed);
    const begun = await post("/api/auth/guest", {});
    if (!begun.ok) throw await ApiError.of(begun);
    tell();
  });
}

function tell(): void {
  tabs.postMessage("changed" satisfies Heard);
  changed();
}

/** Opens an account's session. Raises ApiError with what is wrong. */
export async function signIn(email: string, password: string): Promise<void> {
  const response = await post("/api/auth/login", { email, password });
  if (!response.ok) throw await ApiError.of(response);
  try {
    await whoAmI();
  } finally {
    tell(); // whatever came of the question, the cookies are another's
  }
}

/** Makes the guest an account, with all that is the guest's. Raises ApiError with what is wrong. */
export async function register(email: string, password: string, displayName: string): Promise<void> {
  await whoAmI(); // renews what has expired: nobody would be known as the guest without a token
  const response = await post("/api/auth/register", { email, password, display_name: displayName });
  if (!response.ok) throw await ApiError.of(response);
  try {
    await whoAmI();
  } finally {
    tabs.postMessage("named" satisfies Heard);
  }
}

/** Ends the session, and with it every stream of it; the reader is a new guest then. */
export async function signOut(): Promise<void> {
  const response = await post("/api/auth/logout", {});
  if (!response.ok) throw await ApiError.of(response);
  user.value = undefined;
  try {
    await whoAmI(); // a new guest, which tells the others
  } catch (error) {
    tell();
    throw error;
  }
}
