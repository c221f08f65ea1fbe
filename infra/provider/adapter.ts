import { ConvocateError, ERROR_CODES, isErrorCode } from "../../runtime/domain/index.js";
import { Answers } from "../resources/answers.js";
import type { Difference, Lifecycle } from "../resources/lifecycle.js";
import { HostGone, namedHosts, REACHED_AT, UNASKED, type HostBook, type OpenHosts, type Remembered } from "./hosts.js";
import { propertyPath, topProperty, UNKNOWN, type Decoded, type Plain } from "./values.js";

export interface CheckFailure {
  property: string;
  reason: string;
}

/** Values to send back, and which of them are secrets. */
export interface Result {
  values: object;
  secrets: ReadonlySet<string>;
}

/**
 * What the engine asks of a provider, in plain values, answered by lifecycles. It knows no kind by name. Previews come to
 * no lifecycle's create or update: what they would bring is unknown, and the host is left alone.
 */
export class Adapter {
  readonly #lifecycles: ReadonlyMap<string, Lifecycle>;
  readonly #cancel = new AbortController();
  readonly #warned = new Set<string>();
  readonly #answers = new Answers();

  constructor(
    lifecycles: readonly Lifecycle[],
    private readonly hosts: HostBook,
    private readonly progress: (urn: string, message: string) => void,
    private readonly warn: (urn: string, message: string) => void,
    private readonly purge = false,
  ) {
    this.#lifecycles = new Map(lifecycles.map((lifecycle) => [lifecycle.kind, lifecycle]));
  }

  /** Ends what is under way; every operation after it fails with INTERRUPTED. */
  cancel(): void {
    this.#cancel.abort(new ConvocateError("INTERRUPTED", "interrupted: run it again to complete it"));
  }

  check(urn: string, news: Decoded): CheckFailure[] {
    const parsed = this.#lifecycle(urn).inputs.safeParse(news.plain);
    if (parsed.success) return [];
    return parsed.error.issues
      .filter((issue) => !news.unknowns.some((unknown) => overlap(unknown, issue.path)))
      .map((issue) => ({ property: propertyPath(issue.path), reason: issue.message }));
  }

  diff(urn: string, olds: Decoded, news: Decoded): Difference[] {
    const lifecycle = this.#lifecycle(urn);
    if (unaskedOf(olds.plain)) return [{ path: UNASKED, kind: "change" }];
    const state = { ...olds, plain: namedHosts(olds.plain).plain };
    if (news.unknowns.length > 0) return this.#diffWithUnknowns(lifecycle, state, news);
    const parsed = lifecycle.inputs.safeParse(news.plain);
    if (parsed.success) return lifecycle.diff(state.plain, parsed.data);
    // A refresh compares with the inputs of the last `up`, and those of another release need not be as ours must be. They
    // differ, and that is all there is to say; inputs of a program were checked before they came here.
    return parsed.error.issues.map((issue) => ({ path: propertyPath(issue.path), kind: "change" }));
  }

  async create(urn: string, news: Decoded, preview: boolean): Promise<Result & { id: string }> {
    const lifecycle = this.#lifecycle(urn);
    const secrets = new Set([...lifecycle.secretOutputs, ...news.secrets]);
    // What is not in the answer of a preview, the SDK takes as unknown: so are all outputs that are no inputs.
    if (preview) return { id: "", values: news.plain, secrets };
    const hosts = this.#hosts(urn, {});
    const created = await lifecycle.create(this.#inputs(lifecycle, urn, news.plain), this.#context(urn, hosts));
    return { id: created.id, values: withHosts(created.state, hosts), secrets };
  }

  async update(urn: string, state: Decoded, news: Decoded, preview: boolean): Promise<Result> {
    const lifecycle = this.#lifecycle(urn);
    const secrets = new Set([...lifecycle.secretOutputs, ...news.secrets]);
    if (preview) {
      const unasked = unaskedOf(state.plain);
      if (unasked) throw unasked;
      const unknown = (lifecycle.volatileOutputs ?? []).map((name): [string, unknown] => [name, UNKNOWN]);
      return { values: { ...state.plain, ...Object.fromEntries<unknown>(unknown) }, secrets };
    }
    const { plain, remembered } = namedHosts(state.plain);
    const inputs = this.#inputs(lifecycle, urn, news.plain);
    const hosts = this.#hosts(urn, remembered);
    return { values: withHosts(await lifecycle.update(plain, inputs, this.#context(urn, hosts)), hosts), secrets };
  }

  /** What is on the host; null when the resource is gone. */
  async read(urn: string, state: Decoded, inputs: Decoded): Promise<Result | null> {
    const lifecycle = this.#lifecycle(urn);
    const secrets = new Set([...lifecycle.secretOutputs, ...state.secrets]);
    const { plain, remembered } = namedHosts(state.plain);
    const parsed = lifecycle.inputs.safeParse(namedHosts(inputs.plain).plain);
    // Inputs of another release than this one: they differ from the new ones anyway, so the next `up` makes it right.
    if (!parsed.success) return { values: state.plain, secrets };
    const hosts = this.#hosts(urn, remembered);
    try {
      const seen = await lifecycle.read(plain, parsed.data, this.#context(urn, hosts));
      return seen && { values: withHosts(seen, hosts), secrets };
    } catch (thrown) {
      if (thrown instanceof HostGone) return { values: state.plain, secrets };
      // A read that fails would end the whole refresh, and with it what the other hosts want.
      if (!(thrown instanceof ConvocateError) || ERROR_CODES[thrown.code] !== ERROR_CODES.UNREACHABLE) throw thrown;
      // A host has many resources, and one reason.
      if (!this.#warned.has(thrown.message)) this.warn(urn, `${thrown.code}: ${thrown.message}`);
      this.#warned.add(thrown.message);
      return { values: { ...state.plain, [UNASKED]: { code: thrown.code, message: thrown.message } }, secrets };
    }
  }

  async delete(urn: string, state: Decoded): Promise<void> {
    const { plain, remembered } = namedHosts(state.plain);
    try {
      await this.#lifecycle(urn).delete(plain, this.#context(urn, this.#hosts(urn, remembered)));
    } catch (thrown) {
      if (!(thrown instanceof HostGone)) throw thrown;
    }
  }

  #lifecycle(urn: string): Lifecycle {
    const kind = kindOf(urn);
    const lifecycle = this.#lifecycles.get(kind);
    if (lifecycle) return lifecycle;
    throw new ConvocateError(
      "BAD_REQUEST",
      `this release knows no kind of resource called ${kind}: use the release that made it`,
    );
  }

  #inputs(lifecycle: Lifecycle, urn: string, plain: Plain): object {
    const parsed = lifecycle.inputs.safeParse(plain);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new ConvocateError(
      "BAD_REQUEST",
      `${nameOf(urn)}: ${propertyPath(issue?.path ?? [])} is not as it must be: ${issue?.message ?? ""}`,
    );
  }

  #hosts(urn: string, remembered: Remembered): OpenHosts {
    return this.hosts.open(stackOf(urn), remembered);
  }

  #context(urn: string, pool: OpenHosts): Parameters<Lifecycle["read"]>[2] {
    this.#cancel.signal.throwIfAborted();
    return {
      pool,
      signal: this.#cancel.signal,
      answers: this.#answers,
      purge: this.purge,
      progress: (message) => this.progress(urn, message),
    };
  }

  /**
   * Where a value is not known yet, the lifecycle sees the UNKNOWN text in its place, which differs from anything real. A
   * kind that cannot work with such a text leaves us with the properties that hold it. An unknown value never replaces:
   * it may well turn out to be the old one.
   */
  #diffWithUnknowns(lifecycle: Lifecycle, state: Decoded, news: Decoded): Difference[] {
    const unknown = new Set(news.unknowns.map((path) => String(path[0])));
    let found: Difference[] = [];
    const parsed = lifecycle.inputs.safeParse(news.plain);
    if (parsed.success) {
      try {
        found = lifecycle.diff(state.plain, parsed.data);
      } catch {
        found = [];
      }
    }
    const named = new Set(found.map((difference) => topProperty(difference.path)));
    const rest = [...unknown].filter((property) => !named.has(property));
    return [
      ...found.map(({ path, kind, replace }) => ({
        path,
        kind,
        replace: replace === true && !unknown.has(topProperty(path)),
      })),
      ...rest.map((property): Difference => ({ path: property, kind: "change" })),
    ];
  }
}

/** Why the host of a state could not be asked, when it could not. */
function unaskedOf(plain: Plain): ConvocateError | undefined {
  const why = plain[UNASKED] as { code?: unknown; message?: unknown } | undefined;
  if (!why) return undefined;
  return new ConvocateError(isErrorCode(why.code) ? why.code : "UNREACHABLE", String(why.message));
}

function withHosts(state: object, hosts: OpenHosts): object {
  const remembered = hosts.remembered();
  return Object.keys(remembered).length === 0 ? state : { ...state, [REACHED_AT]: remembered };
}

/** `dev` of such a URN as below. */
function stackOf(urn: string): string {
  return urn.split("::")[0]?.split(":").at(-1) ?? "";
}

/** `Files` of `urn:pulumi:dev::convocate::parent$convocate:index:Files::name`. */
function kindOf(urn: string): string {
  return (urn.split("::")[2] ?? "").split("$").at(-1)?.split(":")[2] ?? "";
}

/** `agent-1/unit` of such a URN. */
function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/** True when one path is the other, or stands above it. */
function overlap(a: readonly PropertyKey[], b: readonly PropertyKey[]): boolean {
  return Array.from({ length: Math.min(a.length, b.length) }, (_, i) => i).every((i) => String(a[i]) === String(b[i]));
}
