"""Probes: what happens inside any torch optimizer, seen without disturbing it."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "METRICS": "sftheory.probes.metrics",
        "Probe": "sftheory.probes.probing",
        "probe": "sftheory.probes.probing",
        "Sequences": "sftheory.probes.sequences",
        "Memory": "sftheory.probes.sinks",
        "Parquet": "sftheory.probes.sinks",
        "JSONL": "sftheory.probes.sinks",
        "TensorBoard": "sftheory.probes.sinks",
    },
)
