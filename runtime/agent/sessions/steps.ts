/**
 * Called between any two steps of an operation that change something on disk or in Docker, with the name of what was just
 * done. The agent's own does nothing; a test's fails or never returns, as a crash would.
 */
export type StepProbe = (done: string) => Promise<void>;

export const noProbe: StepProbe = async () => undefined;
