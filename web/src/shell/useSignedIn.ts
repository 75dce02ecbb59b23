import { onScopeDispose, ref } from "vue";
import { ApiError } from "@/api/errors";
import { onReaderChange, whoAmI } from "@/api/session";

/** Sees to a session, and counts the readers: `epoch` changes when somebody else is the reader. */
export function useSignedIn() {
  const epoch = ref(0);
  const error = ref<ApiError>();
  onScopeDispose(onReaderChange(() => (epoch.value += 1)));

  async function ask(): Promise<void> {
    try {
      await whoAmI();
      error.value = undefined;
    } catch (failure) {
      error.value = failure instanceof ApiError ? failure : ApiError.unreachable(failure);
    }
  }

  const again = () => void ask();
  addEventListener("online", again);
  onScopeDispose(() => removeEventListener("online", again));
  void ask();
  return { epoch, error };
}
