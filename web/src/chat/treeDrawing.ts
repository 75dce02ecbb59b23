import type { ConversationNode } from "@/api/types";
import { layOut, type Place, type TreeLayout } from "./treeLayout";

/** Pixels from lane to lane and from row to row: what is pressed is as large (WCAG 2.2, 2.5.8 asks for 24). */
export const LANE = 40;
export const ROW = 38;

export interface DrawnNode {
  node: ConversationNode;
  place: Place;
  own: boolean;
  x: number;
  y: number;
  /** The path of the twig that it hangs on. */
  twig: string;
  /** Its number among those with the same parent, from 1, and how many they are. */
  position: number;
  siblings: number;
}

export interface Drawing {
  layout: TreeLayout;
  nodes: readonly DrawnNode[];
  width: number;
  height: number;
}

const x = (place: Place | undefined) => ((place?.lane ?? 0) + 0.75) * LANE;
const y = (place: Place | undefined) => ((place?.depth ?? -0.7) + 1) * ROW;

/** Draws the tree of a conversation; what begins it comes from one stem above. */
export function draw(nodes: readonly ConversationNode[]): Drawing {
  const layout = layOut(nodes);
  const byId = new Map(nodes.map((node) => [node.message_id, node]));
  const top = layout.places.filter((place) => !place.parentId).map((place) => place.id);
  const drawn = layout.places.flatMap((place): DrawnNode[] => {
    const node = byId.get(place.id);
    if (!node) return [];
    const parent = layout.byId.get(place.parentId);
    const among = parent?.children ?? top;
    const [fromX, fromY, toX, toY] = [x(parent), y(parent), x(place), y(place)];
    return [
      {
        node,
        place,
        own: node.role === "MESSAGE_ROLE_READER",
        x: toX,
        y: toY,
        // It leaves its branch upright and comes in upright.
        twig: `M${fromX} ${fromY}C${fromX} ${fromY + ROW * 0.55} ${toX} ${toY - ROW * 0.6} ${toX} ${toY}`,
        position: among.indexOf(place.id) + 1,
        siblings: among.length,
      },
    ];
  });
  return { layout, nodes: drawn, width: (layout.lanes + 0.5) * LANE, height: (layout.depths + 1) * ROW };
}
