const patienceMs = 20_000;
const pauseMs = 5;

/** Resolves once the condition holds, and rejects after 20 s. A condition that rejects does not hold yet. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string = condition.toString(),
): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  let why: unknown;
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      why = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`did not happen within ${patienceMs / 1000} s: ${what}`, { cause: why });
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
