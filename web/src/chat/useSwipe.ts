import { ref } from "vue";

const FAR = 56; // pixels, about a thumb's easy movement
const EDGE = 24; // there the system's own gesture begins
const STIFF = 0.4; // how much the thing follows the finger

/**
 * Swipes to the side by touch: `turn(1)` by one to the left, which brings what comes next, `turn(-1)` to the right.
 * The element needs `touch-action: pan-y`, so that the browser scrolls up and down and leaves the rest.
 *
 * `shift` is how far the element is to be moved meanwhile, in pixels.
 */
export function useSwipe(turn: (step: -1 | 1) => void, enabled: () => boolean) {
  const shift = ref(0);
  let start: { pointer: number; x: number; y: number } | undefined;

  function end(): void {
    start = undefined;
    shift.value = 0;
  }

  const handlers = {
    pointerdown(event: PointerEvent): void {
      const atEdge = event.clientX < EDGE || event.clientX > innerWidth - EDGE;
      if (event.pointerType !== "touch" || atEdge || !enabled()) return;
      start = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
    },
    pointermove(event: PointerEvent): void {
      if (event.pointerId !== start?.pointer) return;
      const x = event.clientX - start.x;
      shift.value = Math.abs(x) > 2 * Math.abs(event.clientY - start.y) ? x * STIFF : 0;
    },
    pointerup(event: PointerEvent): void {
      if (event.pointerId !== start?.pointer) return;
      const x = event.clientX - start.x;
      const sideways = Math.abs(x) > 2 * Math.abs(event.clientY - start.y);
      end();
      if (sideways && Math.abs(x) >= FAR) turn(x < 0 ? 1 : -1);
    },
    pointercancel: end,
  };
  return { shift, handlers };
}
