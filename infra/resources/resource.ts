import * as pulumi from "@pulumi/pulumi";

/**
 * A resource of the provider `convocate`. `kind` is its lifecycle's. Outputs that are no inputs must be named in `props`
 * with the value undefined, or the SDK does not make them properties.
 */
export abstract class ConvocateResource extends pulumi.CustomResource {
  protected constructor(kind: string, name: string, props: pulumi.Inputs, options?: pulumi.CustomResourceOptions) {
    super(`convocate:index:${kind}`, name, props, options);
  }
}

/** Options of a resource on a host that is held: these inputs stay as they were at the last rollout that was not. */
export function holding(
  held: unknown,
  inputs: string[],
  options: pulumi.CustomResourceOptions = {},
): pulumi.CustomResourceOptions {
  return held === undefined ? options : { ...options, ignoreChanges: inputs };
}
