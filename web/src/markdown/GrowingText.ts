import { createTextVNode, defineComponent, getCurrentInstance, watch } from "vue";

/**
 * A text node whose text grows in its place. Vue would write the whole text anew, and with that every selection in it
 * would be gone; here only what differs is written, behind what stands.
 */
export default defineComponent({
  props: { text: { type: String, required: true } },
  setup(props) {
    const instance = getCurrentInstance();
    const first = createTextVNodeOnce(props.text);

    watch(
      () => props.text,
      (now) => {
        const node = instance?.vnode.el;
        if (node instanceof Text) change(node, now);
      },
      { flush: "post" },
    );
    return first;
  },
});

/** A render function that always gives the first text, so that Vue sees nothing to change. */
function createTextVNodeOnce(text: string) {
  return () => createTextVNode(text);
}

function change(node: Text, now: string): void {
  const before = node.data;
  if (now.startsWith(before)) {
    node.appendData(now.slice(before.length));
    return;
  }
  let same = 0;
  while (same < before.length && before[same] === now[same]) same += 1;
  node.replaceData(same, before.length - same, now.slice(same));
}
