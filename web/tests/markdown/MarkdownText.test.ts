// @vitest-environment happy-dom
import { mount } from "@vue/test-utils";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import MarkdownText from "@/markdown/MarkdownText.vue";
import { strange } from "./allowed";
import { markdown, nasty } from "./soup";

function show(text: string, streaming = false): HTMLElement {
  return mount(MarkdownText, { props: { text, streaming } }).element as HTMLElement;
}

/** The elements in there that are not on the list. */
function strangers(root: HTMLElement): string[] {
  return [...root.querySelectorAll("*")]
    .filter((element) => {
      const attributes = Object.fromEntries(
        element.getAttributeNames().map((name) => [name, element.getAttribute(name)]),
      );
      return strange(element.localName, attributes);
    })
    .map(({ outerHTML }) => outerHTML);
}

/** What is in there, without what marks the styles of the component. */
function html(root: Element): string {
  return root.innerHTML.replaceAll(/ data-v-[^= >]+(="")?/g, "");
}

function links(root: HTMLElement): string[] {
  return [...root.querySelectorAll("a")].map((link) => link.getAttribute("href") ?? "");
}

describe("only what is on the list is ever made", () => {
  test("in whatever is written", () => {
    const soup = fc
      .array(fc.oneof(nasty, markdown, fc.string({ maxLength: 8 })), { maxLength: 8 })
      .map((all) => all.join(""));
    fc.assert(
      fc.property(soup, fc.boolean(), (text, streaming) => {
        const root = show(text, streaming);
        expect(strangers(root)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test.each(["<script>alert(1)</script>", "a <b onclick=x>bold</b> word", "<div>\nblock\n</div>", "<!-- nothing -->"])(
    "%s is text",
    (text) => {
      expect(show(text).textContent).toBe(text.replaceAll("\n", ""));
    },
  );

  test.each(["[x](javascript:alert(1))", "[x](data:text/html,x)", "[x](/relative)", "![x](data:image/png;base64,AA)"])(
    "%s is no link",
    (text) => {
      const root = show(text);
      expect(links(root)).toEqual([]);
      expect(root.textContent).toContain("x");
    },
  );

  test("a picture is a link to it", () => {
    const root = show("![a moor](https://x.example/moor.png)");
    expect(root.innerHTML).not.toContain("<img");
    expect(links(root)).toEqual(["https://x.example/moor.png"]);
    expect(root.textContent).toBe("a moor");
  });

  test("a link leads out of the app and tells nothing", () => {
    const link = show("[x](http://x.example/a)").querySelector("a");
    expect(link?.outerHTML).toBe(
      '<a href="http://x.example/a" target="_blank" rel="noopener nofollow noreferrer">x</a>',
    );
  });
});

test.each([
  ["# One\n\n###### Six", "<h3>One</h3><h6>Six</h6>"],
  ["*a* **b** ~~c~~ `d <b>`", "<p><em>a</em> <strong>b</strong> <del>c</del> <code>d &lt;b&gt;</code></p>"],
  ["one\ntwo", "<p>one<br>two</p>"],
  ["> said\n> so", "<blockquote><p>said<br>so</p></blockquote>"],
  ["- a\n- b", "<ul><li><span>a</span></li><li><span>b</span></li></ul>"],
  ["3. a", '<ol start="3"><li><span>a</span></li></ol>'],
  ["- [x] a\n- [ ] b", "<ul><li>☑ <span>a</span></li><li>☐ <span>b</span></li></ul>"],
  ["```js\n1 < 2\n```", "<pre><code>1 &lt; 2</code></pre>"],
  ["a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"],
  [
    "|a|b|\n|-|-|\n|1|2|",
    '<table><thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>',
  ],
  ["Tom &amp; Jerry &hellip; &unknown; &#8217;", "<p>Tom &amp; Jerry … &amp;unknown; ’</p>"],
  ["\\*not\\*", "<p>*not*</p>"],
  ["a <b", "<p>a &lt;b</p>"],
])("%j", (text, expected) => {
  expect(html(show(text))).toBe(expected);
});

describe("while it grows", () => {
  function textNodes(root: Node): Text[] {
    const nodes: Text[] = [];
    const walk = (node: Node) => {
      if (node instanceof Text) nodes.push(node);
      else for (const child of node.childNodes) walk(child);
    };
    walk(root);
    return nodes.filter(({ data }) => data);
  }

  test("text nodes stay, and what is selected in them stays selected", async () => {
    const wrapper = mount(MarkdownText, {
      props: { text: "It is *a truth* univ", streaming: true },
      attachTo: document.body,
    });
    const before = textNodes(wrapper.element);
    const writes: string[] = [];
    for (const node of before) {
      Object.defineProperty(node, "nodeValue", { set: () => writes.push("nodeValue"), get: () => node.data });
    }
    await wrapper.setProps({ text: "It is *a truth* universally" });
    await wrapper.setProps({ text: "It is *a truth* universally acknowledged\n\nAnd so" });
    await wrapper.setProps({ text: "It is *a truth* universally acknowledged\n\nAnd so on", streaming: false });
    const after = textNodes(wrapper.element);
    expect(after.slice(0, 3)).toEqual(before);
    before.forEach((node, at) => expect(after[at]).toBe(node));
    expect(after.map(({ data }) => data)).toEqual(["It is ", "a truth", " universally acknowledged", "And so on"]);
    expect(writes).toEqual([]);
    wrapper.unmount();
  });

  test("marks that close change what is behind them alone", async () => {
    const wrapper = mount(MarkdownText, { props: { text: "She was **ver", streaming: true } });
    const [node] = textNodes(wrapper.element);
    await wrapper.setProps({ text: "She was **very** cross" });
    expect(textNodes(wrapper.element)[0]).toBe(node);
    expect(html(wrapper.element)).toContain("<p>She was <strong>very</strong> cross</p>");
  });

  test("it ends as it would have been shown at once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(markdown, { maxLength: 4 }), async (parts) => {
        const wrapper = mount(MarkdownText, { props: { text: "", streaming: true } });
        let text = "";
        for (const part of parts) await wrapper.setProps({ text: (text += part) });
        expect(wrapper.element.innerHTML).toBe(show(text).innerHTML);
        wrapper.unmount();
      }),
      { numRuns: 15 },
    );
  });
});
