// Reads [{module, object}, ...] from the standard input, and writes for each what its schema has against it.
import { readFileSync } from "node:fs";

const answers = [];
for (const { module, object } of JSON.parse(readFileSync(0, "utf8"))) {
  const kind = (await import(module))[object.kind];
  try {
    new kind(object).validate();
    answers.push([]);
  } catch (error) {
    answers.push([error.message]);
  }
}
process.stdout.write(JSON.stringify(answers));
