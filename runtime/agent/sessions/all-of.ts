/** Waits for all of them, and throws the first one's reason: none goes on behind the back of whoever is told. */
export async function allOf<T extends readonly unknown[]>(works: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(works);
  return await Promise.all(works);
}
