import type { WatchSource } from "vue";
import { answer, api } from "@/api/client";
import { defined } from "@/api/defined";
import type { Character } from "@/api/types";
import { useLoaded } from "@/components/useLoaded";

const PAGE = 100;

/** What is listed: `until` undefined: no spoiler limit. */
export interface Asked {
  novelId: string;
  until: number | undefined;
  /** As the book has them, without what its owner has changed. */
  asFound?: boolean;
}

/** The characters of a novel, most important first: at most a hundred, which is what an ingestion finds. */
export async function listCharacters(asked: Asked, signal?: AbortSignal): Promise<readonly Character[]> {
  const path = { novel_id: asked.novelId };
  const query = defined({ page_size: PAGE, until_chapter: asked.until, as_found: asked.asFound });
  const call = api.GET("/api/novels/{novel_id}/characters", { params: { path, query }, ...defined({ signal }) });
  return (await answer(call)).characters;
}

/** The same as they are asked for; nothing is asked while `asked` gives undefined. */
export function useCharacters(asked: () => Asked | undefined, ...sources: WatchSource[]) {
  const key = () => JSON.stringify(asked());
  return useLoaded(
    async (signal) => {
      const now = asked();
      return now ? listCharacters(now, signal) : undefined;
    },
    key,
    ...sources,
  );
}
