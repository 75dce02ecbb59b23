import { watchEffect } from "vue";

/** Names the tab after what is on the page. */
export function usePageTitle(title: () => string | undefined): void {
  watchEffect(() => {
    const text = title();
    document.title = text ? `${text} · Gaji` : "Gaji";
  });
}
