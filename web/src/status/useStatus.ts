import { computed, shallowRef } from "vue";
import { useEventStream } from "@/streams/useEventStream";
import { pointOf, shares, withPoint, type Point } from "./history";
import { readReport, type Report } from "./report";

/** The state of all services, for as long as the page is open: the newest report, and what is drawn of those before. */
export function useStatus() {
  const report = shallowRef<Report>();
  const before = shallowRef<Report>();
  const points = shallowRef<readonly Point[]>([]);

  const { state, error, open, retry } = useEventStream(
    ({ name, data }) => {
      const now = name === "status" ? readReport(data) : undefined;
      if (!now) return;
      before.value = report.value;
      report.value = now;
      points.value = withPoint(points.value, pointOf(now, before.value));
    },
    // It never ends by itself; after each connection comes another.
    { ends: [] },
  );
  open("/api/status/stream");

  const caches = computed(() => (report.value ? shares(report.value, before.value) : []));
  return { report, points, caches, state, error, retry };
}
