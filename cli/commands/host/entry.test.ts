import { expect, test } from "@jest/globals";
import { InventoryEdit } from "../../../infra/inventory/index.js";
import { entryFor } from "./entry.js";

const edit = new InventoryEdit(
  "cluster: x\nshell: { name: shell, address: 10.0.0.1, user: admin, port: 2222 }\nagents: [{ name: a1, address: 10.0.0.2 }]\n",
  "x.yaml",
);
const none = new InventoryEdit("cluster: x\n", "x.yaml");
const stack = "dev";

test("a host of the inventory is found by its name and by its address", () => {
  for (const host of ["a1", "10.0.0.2"])
    expect(entryFor(edit, "agent", { stack, host })).toMatchObject({ name: "a1", address: "10.0.0.2" });
  expect(entryFor(edit, "shell", { stack, host: "shell" })).toMatchObject({ address: "10.0.0.1", user: "admin" });
});

test("a new host is named after the first part of its name, an IP address needs --name", () => {
  expect(entryFor(edit, "agent", { stack, host: "Worker-1.example.org" })).toMatchObject({ name: "worker-1" });
  expect(entryFor(edit, "agent", { stack, host: "10.0.0.9", name: "w9" })).toMatchObject({
    name: "w9",
    address: "10.0.0.9",
  });
  expect(() => entryFor(edit, "agent", { stack, host: "10.0.0.9" })).toThrow("give it a name with --name");
});

test("a host is not renamed in passing", () => {
  expect(() => entryFor(edit, "agent", { stack, host: "a1", name: "b" })).toThrow("a1 is a1 in the inventory");
});

test("a stack has one shell host", () => {
  expect(() => entryFor(edit, "shell", { stack, host: "10.0.0.7", name: "other" })).toThrow(
    "this stack's shell host is shell at 10.0.0.1",
  );
});

test("the shell host as an agent is reached as the shell host is", () => {
  expect(entryFor(edit, "agent", { stack, shellHost: true })).toMatchObject({
    role: "agent",
    address: "10.0.0.1",
    port: 2222,
    user: "admin",
  });
  expect(() => entryFor(none, "agent", { stack, shellHost: true })).toThrow("no shell host yet");
  expect(() => entryFor(edit, "agent", { stack, shellHost: true, host: "a1" })).toThrow("leave --host out");
});

test("no host among others is this machine, which the others could not reach: told by its option, not by a line of no file", () => {
  expect(() => entryFor(edit, "agent", { stack })).toThrow("without --host this machine is meant");
  expect(entryFor(none, "shell", { stack, name: "here" })).toMatchObject({ address: "local" });
});
