"""Figures that anyone can make again: the table of docs/benchmarks.md, and the kernels' cost formulas."""

from pipeline.bench.cures import bench_cures
from pipeline.bench.fit import fit_lines, write_costs
from pipeline.bench.table import BenchRow, bench_models, markdown_table

__all__ = ["BenchRow", "bench_cures", "bench_models", "fit_lines", "markdown_table", "write_costs"]
