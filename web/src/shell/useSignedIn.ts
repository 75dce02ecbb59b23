import { computed, onScopeDispose, ref } from "vue";
import { ApiError } from "@/api/errors";
import { onReaderChange, user, whoAmI } from "@/api/session";

const KNOWN = "gaji.known";

/**
 * Sees to a session, and counts the readers: `epoch` changes when somebody else is the reader. Pages may ask for things
 * when it is `ready`: on a first visit not before there is a session, since all that they ask would be refused.
 */
export function useSignedIn() {
  const epoch = ref(0);
  const error = ref<ApiError>();
  const known = localStorage.getItem(KNOWN) !== null;
  const ready = computed(() => known || user.value !== undefined || error.value !== undefined);
  onScopeDispose(onReaderChange(() => (epoch.value += 1)));

  async function ask(): Promise<void> {
    try {
      await whoAmI();
      localStorage.setItem(KNOWN, "");
      error.value = undefined;
    } catch (failure) {
      error.value = failure instanceof ApiError ? failure : ApiError.unreachable(failure);
    }
  }

  const again = () => void ask();
  addEventListener("online", again);
  onScopeDispose(() => removeEventListener("online", again));
  void ask();
  return { epoch, error, ready };
}
