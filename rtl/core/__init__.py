"""The controller: fetch, sequencer, vectors, samples and counters."""
