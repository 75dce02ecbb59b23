import { onScopeDispose, ref } from "vue";

/** Whether the browser has a network. */
export function useOnline() {
  const online = ref(navigator.onLine);
  const look = () => (online.value = navigator.onLine);
  addEventListener("online", look);
  addEventListener("offline", look);
  onScopeDispose(() => {
    removeEventListener("online", look);
    removeEventListener("offline", look);
  });
  return online;
}
