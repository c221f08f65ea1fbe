import { z } from "zod";
import { SHAPE_OF_VERB, SHAPES } from "./shapes.js";

/** The published JSON schemas by file name (`ls.json`), a file for each shape that some verb prints. */
export function schemaDocuments(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => {
      const verbs = Object.keys(SHAPE_OF_VERB).filter((verb) => SHAPE_OF_VERB[verb] === name);
      const schema = z.toJSONSchema(shape, { io: "output", target: "draft-2020-12" });
      const title = `convocate ${verbs.join(" | ")} --json`;
      return [`${name}.json`, { $schema: schema.$schema, title, ...schema }];
    }),
  );
}
