import type { FileArgs } from "../resources/files/resource.js";
import type { Input } from "@pulumi/pulumi";

/** Entries of a Files resource. Root's; files 0644 and directories 0755, unless told otherwise. */
interface Options {
  mode?: string;
  group?: string;
}

export const file = (content: Input<string>, { mode = "0644", group = "root" }: Options = {}): FileArgs => ({
  type: "file",
  content,
  mode,
  owner: "root",
  group,
});

/** Empty at first, then written by one of our services. */
export const seed = ({ mode = "0644", group = "root" }: Options = {}): FileArgs => ({
  type: "seed",
  content: "",
  mode,
  owner: "root",
  group,
});

export const directory = ({ mode = "0755", group = "root" }: Options = {}): FileArgs => ({
  type: "directory",
  mode,
  owner: "root",
  group,
});
