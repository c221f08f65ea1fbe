declare const CONVOCATE_RELEASE: string | undefined;

/** The release this program was built from (`git describe --tags`), put in by the bundler; `0.0.0-dev` in tests. */
export const RELEASE: string = typeof CONVOCATE_RELEASE === "string" ? CONVOCATE_RELEASE : "0.0.0-dev";

/** Version of the three subsystems' wire format; raised when an old peer could misread a new one. */
export const PROTOCOL_VERSION = 1;
