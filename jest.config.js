const swc = {
  jsc: {
    target: "es2023",
    parser: { syntax: "typescript", tsx: true },
    transform: { react: { runtime: "automatic" } },
  },
  module: { type: "es6" },
};

/** Two kinds of test: `*.test.ts` beside the code needs nothing; `*.accept.ts` under test/ needs Docker and the lab. */
const common = {
  extensionsToTreatAsEsm: [".ts", ".tsx"],
  transform: { "^.+\\.tsx?$": ["@swc/jest", swc] },
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
  modulePathIgnorePatterns: ["<rootDir>/dist", "<rootDir>/.convocate"],
  testEnvironment: "node",
};

export default {
  // jest leaves one core idle by default; there are two.
  maxWorkers: "100%",
  // A deadline is for what hangs, not for what is slow on a busy machine.
  testTimeout: 30_000,
  projects: [
    { ...common, displayName: "unit", testMatch: ["**/*.test.ts", "**/*.test.tsx"] },
    { ...common, displayName: "accept", testMatch: ["<rootDir>/test/**/*.accept.ts"] },
    { ...common, displayName: "long", testMatch: ["<rootDir>/test/**/*.long.ts"] },
  ],
};
