import { toConvocateError, type SessionId } from "../../../domain/index.js";
import type { Cluster, MoveProgress } from "../../cluster.js";
import type { Action, Effect, Request, SimpleOperation } from "../model/state.js";
import { bytesText } from "../text.js";

/** Effects that ask the cluster for something. */
export type ClusterEffect = Extract<Effect, { type: "operate" | "request" | "settings" | "logs" | "screen" }>;

type Dispatch = (action: Action) => void;

/** Carries out what the cluster is asked for, in the background; its end comes back as an action. Never throws. */
export function performOnCluster(cluster: Cluster, effect: ClusterEffect, dispatch: Dispatch): void {
  switch (effect.type) {
    case "operate": {
      const { operation, id, name, force } = effect;
      settle(
        () => operate(cluster, operation, id, force),
        (detached) => dispatch({ type: "done", operation, id, name, ...(detached === undefined ? {} : { detached }) }),
        (error) => dispatch({ type: "failed", operation, id, name, error }),
      );
      return;
    }
    case "request": {
      const { task, request, back, title } = effect;
      settle(
        () => ask(cluster, request, (progress) => dispatch({ type: "task-progress", task, progress })),
        (answer) => dispatch({ type: "task-done", task, request, ...answer }),
        (error) => dispatch({ type: "task-failed", task, request, back, title, error }),
      );
      return;
    }
    case "settings": {
      const { agent } = effect;
      settle(
        () => cluster.settings(agent),
        (loaded) => dispatch({ type: "settings", agent, loaded }),
        (error) => dispatch({ type: "settings-failed", agent, error }),
      );
      return;
    }
    case "logs": {
      const { id, after } = effect;
      settle(
        () => cluster.logs(id, after === undefined ? { lines: 1000 } : { lines: 1000, after }),
        (lines) => dispatch({ type: "logs", id, lines }),
        (error) => dispatch({ type: "view-failed", view: "logs", id, error }),
      );
      return;
    }
    case "screen": {
      const { id } = effect;
      settle(
        () => cluster.screen(id),
        (lines) => dispatch({ type: "screen", id, lines }),
        (error) => dispatch({ type: "view-failed", view: "preview", id, error }),
      );
    }
  }
}

async function operate(
  cluster: Cluster,
  operation: SimpleOperation,
  id: SessionId,
  force: boolean,
): Promise<number | undefined> {
  switch (operation) {
    case "restart":
      await cluster.restart(id, { force });
      return undefined;
    case "kill":
      await cluster.kill(id);
      return undefined;
    case "background":
      return await cluster.background(id);
    case "delete":
      await cluster.delete(id);
      return undefined;
    case "override":
      await cluster.override(id, { force });
      return undefined;
  }
}

type Answer = Omit<Extract<Action, { type: "task-done" }>, "type" | "task" | "request">;

async function ask(cluster: Cluster, request: Request, onProgress: (text: string) => void): Promise<Answer> {
  const tell = (progress: MoveProgress): void => onProgress(progressText(progress));
  switch (request.form) {
    case "create":
      return { session: await cluster.create(request.agent, request.spec) };
    case "clone": {
      const { id, name, to } = request;
      const { session, skipped_total } = await cluster.clone(id, { name, ...(to ? { to } : {}), onProgress: tell });
      return { session, ...noteOf(skipped_total, []) };
    }
    case "edit":
      return { session: await cluster.edit(request.id, request.change) };
    case "settings":
      await cluster.changeSettings(request.agent, request.change);
      return {};
    case "move": {
      const { session, skipped_total, warnings } = await cluster.move(request.id, request.to, { onProgress: tell });
      return { session, ...noteOf(skipped_total, warnings) };
    }
  }
}

/** `copying 1.2 GiB of 3.4 GiB`; other steps by their name. */
function progressText({ step, bytes, total }: MoveProgress): string {
  return step === "copying" ? `${bytesText(bytes)} of ${bytesText(Math.max(bytes, total))}` : step;
}

/** What an operator should know of a copy that was made. */
function noteOf(skipped: number, warnings: readonly string[]): { note?: string } {
  const notes = [
    ...(skipped === 0
      ? []
      : [skipped === 1 ? "1 special file was left out" : `${skipped} special files were left out`]),
    ...warnings,
  ];
  return notes.length === 0 ? {} : { note: notes.join("; ") };
}

function settle<T>(
  run: () => Promise<T>,
  done: (value: T) => void,
  failed: (error: ReturnType<typeof toConvocateError>) => void,
): void {
  const outcome = async (): Promise<() => void> => {
    try {
      const value = await run();
      return () => done(value);
    } catch (thrown) {
      const error = toConvocateError(thrown);
      return () => failed(error);
    }
  };
  void outcome().then((report) => report());
}
