// Trace context (https://www.w3.org/TR/trace-context/): with it, what the page asks for can be followed through the
// services. One trace is a request with all its tries, or a stream with all its connections.
import { newRequestId } from "./browser";

/** A new trace: makes the header `traceparent` of each of its requests. Nothing is recorded here, so it asks for none. */
export function newTrace(): () => string {
  const trace = newRequestId();
  return () => `00-${trace}-${newRequestId().slice(0, 16)}-00`;
}
