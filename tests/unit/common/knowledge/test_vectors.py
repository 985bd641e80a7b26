import tracemalloc

import numpy as np

from common.knowledge.vectors import MemoryVectors, VectorEntry

COUNT, DIMENSIONS = 2_000, 384


def test_in_memory_each_vector_is_held_once() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = MemoryVectors(DIMENSIONS)
        rows = np.eye(COUNT, DIMENSIONS, dtype=np.float32)
        held.upsert("ann", [VectorEntry(id=str(at), vector=row, attributes={}) for at, row in enumerate(rows)])
        sought = rows[7].copy()
        del rows
        assert list(held.search("ann", sought, limit=1)) == ["7"]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1.5 * COUNT * DIMENSIONS * sought.itemsize


def test_what_is_written_after_a_search_is_found_by_the_next() -> None:
    held = MemoryVectors(3)
    for at, vector in enumerate(np.eye(3, dtype=np.float32)):
        held.upsert("ann", [VectorEntry(id=str(at), vector=vector, attributes={})])
        assert next(iter(held.search("ann", vector, limit=1))) == str(at)
    held.delete("ann", ["2"])
    assert set(held.search("ann", np.eye(3, dtype=np.float32)[2], limit=3)) == {"0", "1"}
