// Short names for what the app handles of the contract.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type User = Schemas["User"];
export type Novel = Schemas["Novel"];
export type Chapter = Schemas["Chapter"];
export type Character = Schemas["Character"];
export type Passage = Schemas["Passage"];
export type Scenario = Schemas["Scenario"];
export type Conversation = Schemas["Conversation"];
export type ConversationNode = Schemas["ConversationNode"];
export type Message = Schemas["Message"];
export type Citation = Schemas["Citation"];
export type Progress = Schemas["Progress"];
export type Failure = Schemas["Failure"];
export type ReplySummary = Schemas["ReplySummary"];
