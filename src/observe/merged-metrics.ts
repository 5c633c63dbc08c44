import { AggregatorRegistry } from '@prometheus-io/client';

/** The metrics of all workers as one text, for the process that leads them. What a worker counted ends with it. */
export function createMergedMetrics(): { readonly contentType: string; text(): Promise<string> } {
  const registry = new AggregatorRegistry();
  return { contentType: registry.contentType, text: () => registry.clusterMetrics() };
}
