// Searches a novel and streams a reply, with nothing of Gaji but its protos. Prints one JSON object.
//
// Usage: node client.mjs '{"include": [...], "search": "host:port", "generation": "host:port", "token": "...",
//                          "novel_id": "...", "conversation_id": "...", "query": "..."}'
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const input = JSON.parse(process.argv[2]);
const files = ["gaji/search/v1/search_service.proto", "gaji/generation/v1/generation_service.proto"];
const loading = { includeDirs: input.include, keepCase: true, longs: String, oneofs: true, defaults: true };
const definition = loader.loadSync(files, loading);
const { gaji } = grpc.loadPackageDefinition(definition);
const credentials = grpc.credentials.createInsecure();
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${input.token}`);
const options = () => ({ deadline: Date.now() + 30_000 });

const search = new gaji.search.v1.SearchService(input.search, credentials);
const { passages } = await new Promise((resolve, reject) => {
  const request = { novel_id: input.novel_id, query: input.query, top_k: 3 };
  search.SearchPassages(request, metadata, options(), (error, answer) => (error ? reject(error) : resolve(answer)));
});

const refused = await new Promise((resolve) => {
  const request = { novel_id: input.novel_id, query: "", top_k: 0 };
  search.SearchPassages(request, metadata, options(), (error) => resolve(error));
});

const generation = new gaji.generation.v1.GenerationService(input.generation, credentials);
const events = [];
await new Promise((resolve, reject) => {
  const request = { conversation_id: input.conversation_id, content: "Hello from Node", request_id: input.request_id };
  const call = generation.StreamReply(request, metadata, options());
  call.on("data", (message) => events.push({ sequence: message.sequence, event: message.event, ...message[message.event] }));
  call.on("error", reject);
  call.on("end", resolve);
});

console.log(JSON.stringify({ passages, refused: { code: refused.code, details: refused.details }, events }));
search.close();
generation.close();
