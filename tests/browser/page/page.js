// A reader's page: shows what the browser's own EventSource hears. It never closes it: that, too, is the browser's to do.
const NAMES = ["progress", "token", "complete", "failed", "stopped", "seam", "gap"];
const shown = document.querySelector("output");
const events = []; // {name, id, data}
const breaks = []; // at each error: {state: of the source, id: of the last event}
let waiting = []; // {until, resolve}
let source;

function now() {
  return { text: shown.textContent, state: source.readyState, events: [...events], breaks: [...breaks] };
}

function changed() {
  const due = waiting.filter(({ until }) => until());
  waiting = waiting.filter((each) => !due.includes(each));
  for (const { resolve } of due) resolve(now());
}

// What the page shows at the very moment at which something has become true.
function when(until) {
  return new Promise((resolve) => {
    waiting.push({ until, resolve });
    changed();
  });
}

// The cookie comes with the answer.
async function signIn() {
  const answer = await fetch("/api/auth/guest", post({ display_name: "guest with a browser" }));
  return answer.json();
}

function listen(path) {
  source = new EventSource(path);
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      const data = JSON.parse(event.data);
      events.push({ name, id: event.lastEventId, data });
      if (name === "token") shown.textContent += data.content;
      changed();
    });
  }
  source.addEventListener("error", () => {
    breaks.push({ state: source.readyState, id: events.at(-1)?.id ?? "" });
    changed();
  });
}

function heard(tokens) {
  return when(() => events.filter(({ name }) => name === "token").length >= tokens);
}

function closed() {
  return when(() => source.readyState === EventSource.CLOSED);
}

// Stops a reply as soon as so many tokens are there.
async function stopAfter(tokens, path) {
  await heard(tokens);
  const answer = await fetch(`${path}:stop`, post({}));
  return answer.json();
}

function post(body) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
