import { computed, reactive, ref, shallowRef, watch } from "vue";
import { answer, api } from "@/api/client";
import type { Novel, Scenario } from "@/api/types";
import { useLoaded } from "@/components/useLoaded";
import { draftOf, type Draft } from "./draft";
import { createBody, emptyForm, formOf, updateBody, type ScenarioForm } from "./form";

interface Opened {
  novel: Novel;
  /** The one that is changed; absent: it is a new one. */
  scenario?: Scenario;
}

/** A scenario that is written: of a novel, or one that there is. */
export function useScenarioForm(ids: {
  readonly novelId?: string | undefined;
  readonly scenarioId?: string | undefined;
}) {
  const form = reactive<ScenarioForm>(emptyForm());
  const busy = ref(false);
  const refused = shallowRef<unknown>();
  let draft: Draft | undefined;
  let untouched = "";

  async function open(signal: AbortSignal): Promise<Opened> {
    draft = undefined;
    const scenario = ids.scenarioId === undefined ? undefined : await theScenario(ids.scenarioId, signal);
    const path = { novel_id: scenario?.novel_id ?? ids.novelId ?? "" };
    const novel = await answer(api.GET("/api/novels/{novel_id}", { params: { path }, signal }));
    const begun = scenario ? formOf(scenario) : emptyForm();
    untouched = JSON.stringify(begun);
    draft = draftOf(scenario?.scenario_id ?? novel.novel_id);
    Object.assign(form, draft.read() ?? begun);
    return scenario ? { novel, scenario } : { novel };
  }

  const {
    value: opened,
    error,
    reload,
  } = useLoaded(
    open,
    () => ids.novelId,
    () => ids.scenarioId,
  );
  const novel = computed(() => opened.value?.novel);
  const scenario = computed(() => opened.value?.scenario);

  watch(form, () => {
    if (JSON.stringify(form) === untouched) draft?.clear();
    else draft?.write(form);
  });

  /** Stores it; undefined: it was refused, `refused` says why, and nothing is lost. */
  async function save(read: number | undefined): Promise<Scenario | undefined> {
    if (!novel.value || busy.value) return undefined;
    busy.value = true;
    refused.value = undefined;
    try {
      const stored = scenario.value
        ? await changed(scenario.value, form)
        : await answer(api.POST("/api/scenarios", { body: createBody(novel.value.novel_id, form, read) }));
      draft?.clear();
      draft = undefined;
      return stored;
    } catch (failure) {
      refused.value = failure;
      return undefined;
    } finally {
      busy.value = false;
    }
  }

  return { form, novel, scenario, error, reload, busy, refused, save };
}

function theScenario(scenario_id: string, signal: AbortSignal): Promise<Scenario> {
  return answer(api.GET("/api/scenarios/{scenario_id}", { params: { path: { scenario_id } }, signal }));
}

async function changed(scenario: Scenario, form: ScenarioForm): Promise<Scenario> {
  const body = updateBody(scenario, form);
  if (!Object.keys(body).length) return scenario;
  const path = { scenario_id: scenario.scenario_id };
  return answer(api.PATCH("/api/scenarios/{scenario_id}", { params: { path }, body }));
}
