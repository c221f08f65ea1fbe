import { toConvocateError, type SessionId } from "../../../domain/index.js";
import type { Cluster } from "../../cluster.js";
import type { Action, Effect, Operation } from "../model/state.js";

/** Carries out an operation of the cluster in the background; its end comes back as an action. Never throws. */
export function performOnCluster(
  cluster: Cluster,
  effect: Extract<Effect, { type: "operate" | "create" }>,
  dispatch: (action: Action) => void,
): void {
  if (effect.type === "create") {
    settle(
      () => cluster.create(effect.agent, effect.spec),
      (session) => dispatch({ type: "created", session }),
      (error) => dispatch({ type: "create-failed", form: effect.form, error }),
    );
    return;
  }
  const { operation, id, name } = effect;
  settle(
    () => operate(cluster, operation, id, effect.force),
    (detached) => dispatch({ type: "done", operation, id, name, ...(detached === undefined ? {} : { detached }) }),
    (error) => dispatch({ type: "failed", operation, id, name, error }),
  );
}

async function operate(
  cluster: Cluster,
  operation: Operation,
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
  }
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
