import { onScopeDispose, ref } from "vue";

const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;

/** Takes files that are dropped anywhere on the page. `dragging` says whether some are held above it. */
export function useFileDrop(take: (files: readonly File[]) => void) {
  const dragging = ref(false);
  // Entering a child comes before leaving its parent: whoever counts knows when the last one is left.
  let depth = 0;

  function enter(event: DragEvent): void {
    if (!hasFiles(event)) return;
    depth += 1;
    dragging.value = true;
  }

  function over(event: DragEvent): void {
    // Without this the browser would open the file in place of the app.
    if (hasFiles(event)) event.preventDefault();
  }

  function leave(event: DragEvent): void {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    dragging.value = depth > 0;
  }

  function drop(event: DragEvent): void {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    dragging.value = false;
    take([...(event.dataTransfer?.files ?? [])]);
  }

  const listeners = { dragenter: enter, dragover: over, dragleave: leave, drop };
  for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener as EventListener);
  onScopeDispose(() => {
    for (const [name, listener] of Object.entries(listeners)) removeEventListener(name, listener as EventListener);
  });
  return { dragging };
}
