import { expect, test } from "@jest/globals";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { schemaDocuments } from "./schemas.js";

const published = fileURLToPath(new URL("../../docs/schemas", import.meta.url));

test("the published JSON schemas are those of what is printed; `npm run schemas` writes them", () => {
  const documents = schemaDocuments();
  expect(readdirSync(published).sort()).toEqual(Object.keys(documents).sort());
  for (const [name, schema] of Object.entries(documents))
    expect({ name, schema: JSON.parse(readFileSync(join(published, name), "utf8")) }).toEqual({
      name,
      schema: JSON.parse(JSON.stringify(schema)),
    });
});
