// @vitest-environment node
import { expect, test } from "vitest";
import { EventStream, type StreamOptions, type StreamState } from "@/streams/eventStream";
import { ApiError } from "@/api/errors";
import { frame, liveStream, refusal, settle, Simulation, stream, type Asked } from "./simulation";

function begin(server: Simulation["server"], options: Partial<StreamOptions> = {}, cursor = "") {
  const simulation = new Simulation(server);
  const heard: string[] = [];
  const states: StreamState[] = [];
  let error: ApiError | undefined;
  const reader = new EventStream(
    {
      source: (after) => (after ? { path: "/watch" } : { path: "/begin", body: { content: "Hello" } }),
      hear: ({ name, data }) => heard.push(`${name} ${JSON.stringify(data)}`),
      changed(state, failure) {
        states.push(state);
        error = failure;
      },
      ...options,
    },
    simulation,
    cursor,
  );
  reader.start();
  return { simulation, heard, states, reader, error: () => error };
}

const END = frame("complete", {}, "9");
const lost = () => new TypeError("Failed to fetch");

test("a POST begins it, and behind its events it is asked for by what the source says then", async () => {
  const { simulation, heard, states } = begin((_, count) =>
    count === 1
      ? stream([frame("token", 1, "a.1"), "event: token\nid: a.2\nda"], { error: true })
      : stream([frame("token", 2, "a.2"), END]),
  );
  await simulation.until(() => states.at(-1) === "ended");
  expect(heard).toEqual(["token 1", "token 2", "complete {}"]);
  expect(simulation.asked.map(({ method, path, body, lastEventId }) => ({ method, path, body, lastEventId }))).toEqual([
    { method: "POST", path: "/begin", body: { content: "Hello" }, lastEventId: null },
    { method: "GET", path: "/watch", body: undefined, lastEventId: "a.1" },
  ]);
  const traces = simulation.asked.map(({ traceparent }) => traceparent?.split("-")[1]);
  expect(traces).toEqual([traces[0], traces[0]]);
  expect(traces[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(states).toEqual(["connecting", "open", "reconnecting", "open", "ended"]);
  expect(simulation.left).toBe(0);
});

test("an expired session is renewed once; refused again, it fails", async () => {
  const good = begin((_, count) => (count === 1 ? refusal(401, "TOKEN_EXPIRED") : stream([END])));
  await good.simulation.until(() => good.reader.state === "ended");
  expect(good.simulation.renewals).toBe(1);

  const bad = begin(() => refusal(401, "TOKEN_REVOKED"));
  await bad.simulation.until(() => bad.reader.state === "failed");
  expect(bad.simulation.renewals).toBe(1);
  expect(bad.simulation.asked).toHaveLength(2);
  expect(bad.error()?.reason).toBe("TOKEN_REVOKED");
});

test("where a session can't be renewed for want of a network it is tried again", async () => {
  const { simulation, reader } = begin((_, count) => (count < 3 ? refusal(401, "TOKEN_EXPIRED") : stream([END])));
  simulation.renewing = () =>
    simulation.renewals === 1 ? Promise.reject(ApiError.unreachable("away")) : Promise.resolve();
  await simulation.until(() => reader.state === "ended");
  expect(simulation.renewals).toBe(2);
});

test("204 says that nothing more comes", async () => {
  const { simulation, reader, heard } = begin(() => new Response(null, { status: 204 }));
  await settle();
  expect(reader.state).toBe("ended");
  expect(heard).toEqual([]);
  expect(simulation.asked).toHaveLength(1);
});

test.each([400, 403, 404, 409, 501])("%i is final", async (status) => {
  const { simulation, reader, error } = begin(() => refusal(status, "NO"));
  await settle();
  expect(reader.state).toBe("failed");
  expect(error()?.status).toBe(status);
  expect(simulation.left).toBe(0);
});

test("a busy server is left alone for as long as it says, whatever the network does", async () => {
  const { simulation, reader } = begin((_, count) =>
    count === 1 ? refusal(503, "BUSY", { "retry-after": "7" }) : stream([END]),
  );
  await settle();
  await simulation.give("online");
  await simulation.pass(6.9);
  expect(simulation.asked).toHaveLength(1);
  await simulation.until(() => reader.state === "ended");
  expect(simulation.asked[1]?.at).toBeGreaterThanOrEqual(7000);
});

test("pauses double up to 8 s, with full jitter, and begin anew after an event", async () => {
  const { simulation, reader } = begin((_, count) => {
    if (count === 8) return stream([frame("token", 1, "a.1")]);
    return count === 10 ? stream([END]) : lost();
  });
  await simulation.until(() => reader.state === "ended");
  const { asked } = simulation;
  const pauses = asked.slice(1).map(({ at }, index) => at - (asked[index] as Asked).at);
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 250, 500]);
});

test("a gateway that stops hands over: the reader comes back when it says", async () => {
  const handOver = stream(["retry: 2000\n\n", frame("token", 1, "a.1"), "retry: 1234\n\n"]);
  const { simulation, reader } = begin((_, count) => (count === 1 ? handOver : stream([END])));
  await simulation.until(() => reader.state === "ended");
  expect(simulation.asked[1]?.at).toBe(1234);
});

test("a connection on which nothing comes, not even a comment, is given up", async () => {
  const lines: ReturnType<typeof liveStream>[] = [];
  const { simulation, reader } = begin(({ signal }) => {
    const line = liveStream(signal);
    lines.push(line);
    line.send(frame("token", lines.length, `a.${lines.length}`));
    return line.response;
  });
  for (let turn = 0; turn < 6; turn += 1) {
    await simulation.pass(15);
    lines[0]?.send(":\n\n");
  }
  expect(simulation.asked).toHaveLength(1);
  await simulation.pass(50);
  expect(lines[0]?.over).toBe(true);
  expect(simulation.asked).toHaveLength(2);
  expect(simulation.asked[1]?.lastEventId).toBe("a.1");
  reader.close();
  await settle();
  expect(simulation.left).toBe(0);
});

test("a request that nobody answers is given up and made again", async () => {
  const { simulation, reader } = begin(({ signal }, count) =>
    count === 1
      ? new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new DOMException("given up", "AbortError"))),
        )
      : stream([END]),
  );
  await simulation.pass(25);
  expect(reader.state).toBe("ended");
});

test("without a network it says so, and comes back with it", async () => {
  const { simulation, reader, states } = begin((_, count) =>
    count === 1 ? stream([frame("token", 1, "a.1")], { error: true }) : simulation.isOnline ? stream([END]) : lost(),
  );
  simulation.isOnline = false;
  await simulation.pass(4000);
  expect(reader.state).toBe("offline");
  const before = simulation.asked.length;
  await simulation.give("online");
  expect(simulation.asked).toHaveLength(before + 1);
  expect(reader.state).toBe("ended");
  expect(states).toEqual(["connecting", "open", "offline", "reconnecting", "open", "ended"]);
});

test("an open connection may outlive the network; one on which nothing came meanwhile is made anew", async () => {
  const lines: ReturnType<typeof liveStream>[] = [];
  const { simulation, reader } = begin(({ signal }) => {
    const line = liveStream(signal);
    lines.push(line);
    line.send(frame("token", lines.length, `a.${lines.length}`));
    return line.response;
  });
  await simulation.pass(1);
  await simulation.give("offline");
  await simulation.pass(1);
  lines[0]?.send(frame("token", 1, "a.1"));
  await simulation.pass(1);
  await simulation.give("online");
  expect(simulation.asked).toHaveLength(1);
  await simulation.give("offline");
  await simulation.pass(1);
  await simulation.give("online");
  await simulation.pass(1);
  expect(simulation.asked).toHaveLength(2);
  await simulation.give("offline");
  await simulation.pass(26);
  expect(simulation.asked.length).toBeGreaterThan(2);
  reader.close();
});

test("a page in the browser's history keeps no connection, and goes on when it is back", async () => {
  const lines: ReturnType<typeof liveStream>[] = [];
  const { simulation, reader, heard } = begin(({ signal }) => {
    const line = liveStream(signal);
    lines.push(line);
    return line.response;
  });
  await settle();
  lines[0]?.send(frame("token", 1, "a.1"));
  await settle();
  await simulation.give("away");
  expect(lines[0]?.over).toBe(true);
  await simulation.pass(3000);
  expect(simulation.asked).toHaveLength(1);
  await simulation.give("back");
  expect(simulation.asked[1]?.lastEventId).toBe("a.1");
  lines[1]?.send(END);
  await settle();
  expect(heard).toEqual(["token 1", "complete {}"]);
  expect(reader.state).toBe("ended");
});

test("patience ends, and the reader's word begins it anew behind what was heard", async () => {
  let away = true;
  const { simulation, reader, error, heard } = begin((_, count) => {
    if (count === 1) return stream([frame("token", 1, "a.1")], { error: true });
    return away ? refusal(503, "DOWN") : stream([END]);
  });
  await simulation.until(() => reader.state === "failed");
  expect(simulation.time).toBeGreaterThan(599_000);
  expect(simulation.time).toBeLessThan(620_000);
  expect(error()?.reason).toBe("DOWN");
  expect(simulation.left).toBe(0);
  away = false;
  reader.start();
  await simulation.until(() => reader.state === "ended");
  expect(heard).toEqual(["token 1", "complete {}"]);
  expect(simulation.asked.at(-1)?.lastEventId).toBe("a.1");
});

test("before the first event patience may be another, and what takes longer than it is not waited for", async () => {
  const { simulation, reader } = begin(() => lost(), { patience: { first: 30 } });
  await simulation.until(() => reader.state === "failed");
  expect(simulation.time).toBeLessThan(40_000);

  const later = begin(() => refusal(503, "CIRCUIT_OPEN", { "retry-after": "35" }), { patience: { first: 30 } });
  await settle();
  expect(later.reader.state).toBe("failed");
  expect(later.error()?.retryAfter).toBe(35);
});

test("the gateway's own `failed`, which has no id, is a cut where it may go on", async () => {
  const cut = { code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED", message: "", retryable: true };
  const { simulation, reader, heard } = begin((_, count) =>
    count === 1
      ? stream([frame("token", 1, "a.1"), frame("failed", cut)])
      : stream([frame("failed", { ...cut, reason: "MODEL" }, "a.2")]),
  );
  await simulation.until(() => reader.state === "ended");
  expect(heard.map((line) => line.split(" ")[0])).toEqual(["token", "failed"]);
  expect(heard[1]).toContain("MODEL");

  const final = begin(() => stream([frame("failed", { ...cut, retryable: false })]));
  await settle();
  expect(final.reader.state).toBe("ended");
  expect(final.heard).toHaveLength(1);
});

test("an expired token on an open stream is renewed", async () => {
  const expired = { code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED", message: "", retryable: false };
  const { simulation, reader, heard } = begin((_, count) =>
    count === 1 ? stream([frame("failed", expired)]) : stream([END]),
  );
  await simulation.until(() => reader.state === "ended");
  expect(simulation.renewals).toBe(1);
  expect(heard).toEqual(["complete {}"]);
});

test("whoever closes it hears no more, not even of what has come already", async () => {
  const heard: string[] = [];
  const { simulation, reader } = begin(
    () => stream([frame("token", 1, "a.1") + frame("token", 2, "a.2")], { open: true }),
    {
      hear: ({ id }) => {
        heard.push(id);
        reader.close();
      },
    },
  );
  await settle();
  expect(heard).toEqual(["a.1"]);
  expect(reader.state).toBe("idle");
  expect(simulation.left).toBe(0);
});

test("nothing is heard behind the end", async () => {
  const { heard } = begin(() => stream([END + frame("token", 1, "10")]));
  await settle();
  expect(heard).toEqual(["complete {}"]);
});

test("the page of a network's own is no stream", async () => {
  const { simulation, reader } = begin((_, count) =>
    count === 1 ? new Response("<h1>Sign in</h1>", { headers: { "content-type": "text/html" } }) : stream([END]),
  );
  await simulation.until(() => reader.state === "ended");
  expect(simulation.asked).toHaveLength(2);
});

test.each([
  ["BAD_EVENT", "event: token\ndata: {\n\n"],
  ["EVENT_TOO_LARGE", `data: "${"x".repeat(5_000_000)}`],
])("%s is told, not tried for ever", async (reason, text) => {
  const { reader, error } = begin(() => stream([text], { open: true }));
  await settle();
  expect(reader.state).toBe("failed");
  expect(error()?.reason).toBe(reason);
});

test("a machine that has slept begins with a new connection and all its patience", async () => {
  const { simulation, reader } = begin(({ signal }) => {
    const line = liveStream(signal);
    line.send(frame("token", 1, "a.1"));
    return line.response;
  });
  await simulation.pass(7);
  simulation.time += 3_600_000;
  await simulation.pass(6);
  expect(simulation.asked).toHaveLength(2);
  expect(reader.state).toBe("open");
  reader.close();
});

test("the reader's word, and the page's being seen again, end a pause", async () => {
  const { simulation, reader } = begin((_, count) => (count < 8 ? lost() : stream([END])));
  for (let turn = 0; turn < 3; turn += 1) {
    await settle();
    reader.start();
    await settle();
    await simulation.give("seen");
  }
  expect(simulation.time).toBe(0);
  expect(simulation.asked).toHaveLength(7);
  reader.close();
});
