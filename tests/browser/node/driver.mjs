// Drives Chromium by lines of JSON, all tabs in one profile, until its input ends.
//
// In: {"id": 1, "tab": "name", "do": "open", "with": "http://..."}; out: {"id": 1, "value": ...} or {"id": 1, "error": "..."}.
import { createInterface } from "node:readline";
import chromium from "@sparticuz/chromium";
import { chromium as playwright } from "playwright-core";

chromium.setGraphicsMode = false;
const browser = await playwright.launch({
  executablePath: await chromium.executablePath(), // unpacked from the package into TMPDIR, where the profile is as well
  headless: true,
  args: [
    "--no-sandbox", // Chromium has none for root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const context = await browser.newContext();
const tabs = new Map();
const actions = {
  open: async (tab, url) => {
    tabs.set(tab, await context.newPage());
    await tabs.get(tab).goto(url);
  },
  reload: async (tab) => {
    await tabs.get(tab).reload();
  },
  close: async (tab) => {
    await tabs.get(tab).close();
    tabs.delete(tab);
  },
  // Calls a function of the page's own script.
  call: (tab, [name, given]) => tabs.get(tab).evaluate(([name, given]) => globalThis[name](...given), [name, given]),
};

async function answer({ id, tab, do: action, with: argument }) {
  try {
    return { id, value: (await actions[action](tab, argument)) ?? null };
  } catch (error) {
    return { id, error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  answer(JSON.parse(line)).then((said) => console.log(JSON.stringify(said))); // not awaited: one tab must not hold up another
}
await browser.close();
