import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", ".convocate/", "**/*.cjs", "**/*.mjs", "eslint.config.js", "jest.config.js"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // Numbers in messages are what half of our errors are made of.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      // An arrow that returns a void call is the shortest way to hand on a listener.
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidOperator: true, ignoreVoidReturningFunctions: true },
      ],
      "@typescript-eslint/no-meaningless-void-operator": "off",
      // `Promise<Result | void>` says exactly what a race with a deadline gives.
      "@typescript-eslint/no-invalid-void-type": "off",
      // Streams are used by their interface: ssh2's and Node's are not each other's instances.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // Interfaces for effects are async even where one implementation happens not to wait.
      "@typescript-eslint/require-await": "off",
      "no-console": "error",
      // `await using _held` is there for what happens at its end.
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_", argsIgnorePattern: "^_" }],
      eqeqeq: "error",
    },
  },
  {
    // The two places that print: the doors' output, and scripts that stand alone.
    files: ["cli/output/**", "test/**"],
    rules: { "no-console": "off" },
  },
  {
    files: ["**/*.test.ts", "**/*.test.tsx", "test/**"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/unbound-method": "off",
    },
  },
);
