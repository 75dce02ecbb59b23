// Writes a build's texts compressed as well: the gateway sends the form that a browser takes, and compresses nothing itself.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const TEXT = /\.(?:css|html|js|json|svg|txt|webmanifest)$/;
/** Bytes below which the headers cost more than is saved. */
const LEAST = 1024;

function compress(file: string): void {
  const text = readFileSync(file);
  const brotli = brotliCompressSync(text, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    },
  });
  const gzip = gzipSync(text, { level: constants.Z_BEST_COMPRESSION });
  if (brotli.length < text.length) writeFileSync(`${file}.br`, brotli);
  if (gzip.length < text.length) writeFileSync(`${file}.gz`, gzip);
}

/** Puts `x.br` and `x.gz` beside each text `x` of a build. */
export function precompress(): Plugin {
  let folder = "";
  return {
    name: "gaji:precompress",
    apply: "build",
    enforce: "post",
    configResolved(config) {
      folder = resolve(config.root, config.build.outDir);
    },
    writeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        const file = join(folder, name);
        if (TEXT.test(name) && statSync(file).size >= LEAST) compress(file);
      }
    },
  };
}
