import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { parseDocument } from "yaml";
import { testFolder } from "../../test/support/inventory.js";
import { parseInventory, readInventory } from "./read.js";

const EXAMPLE = "infra/stacks/example.yaml";
const { path: home, file } = testFolder();

/** Settings that a text shows behind a `#`: `# key: value`, and what belongs to one, which stands further in. */
const uncommented = (text: string): string =>
  text.replaceAll(/^( *)# ( {2,}.*|[A-Za-z]+:(?: .*)?)$/gm, "$1$2").replaceAll("~/", `${home}/`);

test("the example inventory is valid as it is", () => {
  const { shell, agents } = readInventory(EXAMPLE);
  expect([shell.name, ...agents.map(({ name }) => name)]).toEqual(["shell", "agent-1"]);
});

test("the example inventory is valid with every setting that it shows", () => {
  file("known_hosts", "");
  // A key that nobody mistakes for a real one.
  const { hostKey } = parseDocument(readFileSync(EXAMPLE, "utf8")).toJS().shell as { hostKey: string };
  const text = uncommented(readFileSync(EXAMPLE, "utf8"))
    .replaceAll("/.ssh/known_hosts", "/known_hosts")
    .replace("ssh-ed25519 AAAA…", hostKey);
  const { agents, image, service } = parseInventory(text, `${home}/example.yaml`);
  expect(agents[0]).toMatchObject({
    cpuPercent: 75,
    host: { jump: { address: "bastion.example.net" } },
    hooks: [{ name: "monitoring" }, { name: "join", secrets: { TOKEN: "monitoringToken" } }],
    session: { sudo: true, pids: 4096, env: { HTTPS_PROXY: "http://proxy.example.net:3128" } },
  });
  expect(image).toEqual({ base: "debian:12", version: "3.0.0" });
  expect(service.home).toBe("/home/claude");
});

const pages = ["README.md", ...readdirSync("docs").map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);
/** A page's YAML: fenced as such, or an indented block that begins with a key alone on its line. */
const blocks = pages.flatMap((page) => {
  const text = readFileSync(page, "utf8");
  const fenced = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  const indented = [...text.matchAll(/^ {4}[A-Za-z]+:\n(?: {4}.*\n|\n(?= {4}))+/gm)].map(([block]) => block);
  return [...fenced, ...indented].map((block): [string, string] => [page, block]);
});

test.each(blocks)("what %s shows of an inventory is YAML", (_, block) => {
  expect(parseDocument(block).errors).toEqual([]);
});
