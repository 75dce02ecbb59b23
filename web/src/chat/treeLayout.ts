// Where the messages of a conversation stand in the drawing of its branches: depth downwards, one lane to a branch.

export interface TreeNode {
  message_id: string;
  /** The message before it; empty, or one that is not there: it begins the conversation. */
  parent_id: string;
}

export interface Place {
  id: string;
  /** "" for one that begins the conversation. */
  parentId: string;
  /** From 0, leftmost. */
  lane: number;
  /** From 0, at the top. */
  depth: number;
  /** In the order of the nodes. */
  children: readonly string[];
}

export interface TreeLayout {
  /** Parents before their children. */
  places: readonly Place[];
  byId: ReadonlyMap<string, Place>;
  lanes: number;
  depths: number;
}

interface Draft extends Place {
  children: string[];
  /** How many lanes it stands to the right of its parent. */
  shift: number;
  /** Rightmost and leftmost lane of each depth of what hangs on it, from its own lane; the deepest first. */
  right: number[];
  left: number[];
}

/**
 * Lays out a tree after Reingold and Tilford ("Tidier Drawings of Trees", 1981), aligned to the left: the oldest child
 * goes on in its parent's lane, each later one as near as what hangs on it fits. A new branch so never moves the lanes
 * of the older ones to its left.
 */
export function layOut(nodes: readonly TreeNode[]): TreeLayout {
  const drafts = new Map<string, Draft>();
  for (const node of nodes) {
    drafts.set(node.message_id, {
      id: node.message_id,
      parentId: "",
      lane: 0,
      depth: 0,
      children: [],
      shift: 0,
      right: [],
      left: [],
    });
  }
  const top: string[] = [];
  for (const { message_id: id, parent_id: parentId } of nodes) {
    const parent = parentId === id ? undefined : drafts.get(parentId);
    (parent?.children ?? top).push(id);
    const draft = drafts.get(id);
    if (parent && draft) draft.parentId = parent.id;
  }

  const places = inOrder(top, drafts);
  // Children are done before their parents; the tree may be deep, so nothing here calls itself.
  for (const draft of [...places].reverse()) Object.assign(draft, together(draft.children, drafts, true));
  const all = together(top, drafts, false);
  for (const draft of places) {
    const parent = drafts.get(draft.parentId);
    draft.lane = (parent?.lane ?? 0) + draft.shift;
    draft.depth = parent ? parent.depth + 1 : 0;
  }
  return {
    places,
    byId: new Map(places.map((place) => [place.id, place])),
    lanes: places.length ? Math.max(...all.right) + 1 : 0,
    depths: all.right.length,
  };
}

function inOrder(top: readonly string[], drafts: ReadonlyMap<string, Draft>): Draft[] {
  const found: Draft[] = [];
  const waiting = [...top].reverse();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const draft = drafts.get(id);
    if (!draft) continue;
    found.push(draft);
    for (let index = draft.children.length - 1; index >= 0; index -= 1) waiting.push(draft.children[index] ?? "");
  }
  return found;
}

/** Sets siblings beside each other; answers the outline of them all, with that of their parent. */
function together(ids: readonly string[], drafts: ReadonlyMap<string, Draft>, parent: boolean) {
  let right: number[] = [];
  let left: number[] = [];
  ids.forEach((id, index) => {
    const draft = drafts.get(id);
    if (!draft) return;
    if (index === 0) {
      // The eldest's outline is taken over as it is, without copying: a long conversation stays cheap.
      ({ right, left } = draft);
      return;
    }
    const shared = Math.min(right.length, draft.right.length);
    let shift = 1;
    for (let up = 1; up <= shared; up += 1) {
      shift = Math.max(shift, (right.at(-up) ?? 0) - (draft.left.at(-up) ?? 0) + 1);
    }
    draft.shift = shift;
    const deeper = draft.right.length - right.length;
    const [more, moreLeft] = [draft.right, draft.left].map((outline) => outline.map((lane) => lane + shift));
    if (!more || !moreLeft) return;
    right = deeper > 0 ? more : [...right.slice(0, -shared), ...more.slice(-shared)];
    left = deeper > 0 ? [...moreLeft.slice(0, deeper), ...left] : left;
  });
  if (parent) {
    right.push(0);
    left.push(0);
  }
  return { right, left };
}

/**
 * The node that an arrow key, Home or End leads to; undefined: none.
 *
 * Up and down follow the branch, down by `preferred` where it forks; left and right go to the neighbour at the same
 * depth, on whichever branch.
 */
export function nodeAfter(
  layout: TreeLayout,
  id: string,
  key: string,
  preferred: (id: string) => boolean,
): string | undefined {
  const from = layout.byId.get(id);
  if (!from) return undefined;
  const below = (place: Place) => place.children.find(preferred) ?? place.children[0];
  switch (key) {
    case "ArrowUp":
      return from.parentId || undefined;
    case "ArrowDown":
      return below(from);
    case "ArrowLeft":
    case "ArrowRight": {
      const side = key === "ArrowLeft" ? -1 : 1;
      const beside = layout.places.filter((one) => one.depth === from.depth && (one.lane - from.lane) * side > 0);
      return beside.sort((one, other) => (one.lane - other.lane) * side)[0]?.id;
    }
    case "Home":
    case "End": {
      let last = id;
      const step = (place: Place) => (key === "Home" ? place.parentId || undefined : below(place));
      for (let next = step(from); next !== undefined; next = step(layout.byId.get(next) ?? from)) last = next;
      return last === id ? undefined : last;
    }
    default:
      return undefined;
  }
}
