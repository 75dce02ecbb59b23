import { createRouter, createWebHistory } from "vue-router";
import LibraryPage from "./library/LibraryPage.vue";

// The first page comes with the app; each other one is loaded when it is visited. The gateway answers exactly these
// paths with the app (gateway/web.py): a new first segment is to be named there as well.
export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", name: "library", component: LibraryPage },
    { path: "/novels/:novelId", name: "novel", component: () => import("./novel/NovelPage.vue"), props: true },
    {
      path: "/novels/:novelId/scenarios/new",
      name: "new-scenario",
      component: () => import("./scenario/ScenarioPage.vue"),
      props: true,
    },
    {
      path: "/scenarios/:scenarioId/edit",
      name: "scenario",
      component: () => import("./scenario/ScenarioPage.vue"),
      props: true,
    },
    { path: "/conversations", name: "conversations", component: () => import("./chat/ConversationsPage.vue") },
    {
      path: "/conversations/:conversationId",
      name: "conversation",
      component: () => import("./chat/ChatPage.vue"),
      props: true,
    },
    { path: "/account", name: "account", component: () => import("./account/AccountPage.vue") },
    { path: "/status", name: "status", component: () => import("./status/StatusPage.vue") },
    { path: "/:path(.*)*", name: "not-found", component: () => import("./shell/NotFoundPage.vue") },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
});
